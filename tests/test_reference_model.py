"""The recipe of the reference model and its corpus: what its pieces promise."""

import importlib.util
import json
import math
import random
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

RECIPE = Path(__file__).parents[1] / "examples" / "reference_model"


def piece(name: str) -> ModuleType:
    """A script of the recipe, as a module."""
    sys.path.insert(0, str(RECIPE))  # its scripts import each other
    try:
        spec = importlib.util.spec_from_file_location(name, RECIPE / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(RECIPE))


def test_every_document_is_asked_for_once_in_a_fixed_order() -> None:
    writer = piece("write_documents")
    order = writer.documents_to_write(2)
    assert len(order) == 2 * 60 * 8 * 7 and [one["seed"] for one in order] == list(range(len(order)))
    first = Counter((one["topic"], one["aspect"], one["genre"]) for one in order[: len(order) // 2])
    assert set(first.values()) == {1}
    assert order == writer.documents_to_write(2) and order[:50] == writer.documents_to_write(1)[:50]
    assert "Write a letter to a friend about railways: a night train." in writer.as_prompt(
        {"request": "Write a letter to a friend about railways:", "aspect": "a night train"}
    )


def test_parts_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    writer = piece("write_documents")
    (tmp_path / "part-001.jsonl.xz").touch()
    left = list(writer.parts([{"seed": number} for number in range(900)], 3, tmp_path))
    assert [(path.name, len(documents)) for path, documents in left] == [
        ("part-000.jsonl.xz", 240),
        ("part-002.jsonl.xz", 240),
    ]


SENTENCES = [f"The {a} of the {b} was seen by {c} people in {d}." for a, b, c, d in zip(
    random.Random(0).sample(range(1000, 9999), 40), random.Random(1).sample(range(1000, 9999), 40),
    random.Random(2).sample(range(1000, 9999), 40), random.Random(3).sample(range(1000, 9999), 40), strict=True)]  # fmt: skip


def test_documents_are_cleaned_and_cut_where_they_loop() -> None:
    filters = piece("filter_documents")
    counts: Counter[str] = Counter()
    text = "## A **title**\n\n- one “quoted” item - here.\n\n\n\n2. it’s two.   And an unfinished"
    assert filters.clean(text) == 'A title\n\none "quoted" item - here.\n\nit\'s two. And an unfinished'
    assert filters.without_repeats(filters.clean(text), counts).endswith("it's two.") and not counts
    looping = " ".join([*SENTENCES[:4], SENTENCES[1], SENTENCES[2]])
    assert filters.without_repeats(looping, counts) == " ".join(SENTENCES[:4])
    assert counts == {"documents cut where a sentence came again": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ".join(SENTENCES[:10]), None),
        ("Too short.", "shorter than 40 words"),
        ("and so it goes on " * 20, "loops"),
        (" ".join([*SENTENCES[:10], "As an AI, I'm glad to help."]), "about itself"),
        (" ".join(SENTENCES[:10]) + " плюс" * 20, "not plain English"),
    ],
)
def test_what_is_dropped(text: str, problem: str | None) -> None:
    assert piece("filter_documents").why_not(text) == problem


def test_of_two_alike_the_later_is_dropped() -> None:
    filters = piece("filter_documents")
    one, other = " ".join(SENTENCES[:10]), " ".join(SENTENCES[10:20])
    mostly_one = " ".join([*SENTENCES[:6], *SENTENCES[30:34]])
    counts: Counter[str] = Counter()
    found = list(filters.distinct([{"text": text} for text in (one, other, mostly_one)], counts))
    assert [document["text"] for document in found] == [one, other]
    assert counts == {"dropped: near-duplicates": 1}


def test_trigrams_are_probabilities() -> None:
    kneser_ney = piece("kneser_ney")
    rng = random.Random(0)
    texts = [[0, *(min(int(rng.expovariate(0.3)), 19) for _ in range(30))] for _ in range(40)]
    model = kneser_ney.KneserNey(texts, 25)
    for context in ([], [0], [3], [0, 1], [1, 2], [24, 24], [5, 24], [7, 1, 2]):
        assert sum(model.probability(word, context) for word in range(25)) == pytest.approx(1)
    assert all(model.probability(24, context) > 0 for context in ([], [0, 1]))


def test_trigrams_by_hand() -> None:
    """Interpolated Kneser-Ney on a text small enough for pencil and paper."""
    model = piece("kneser_ney").KneserNey([[0, 1, 2, 1, 2], [0, 1, 3]], 4, order=2)
    # too little for estimated discounts: 0.5 of a count of 1, 0.75 of 2, 1 of more
    # continuation counts: 1 after {0, 2} and once as 1 after 0 again; 2 after {1}; 3 after {1}
    unigram = {1: (2 - 0.75) / 4 + 1.75 / 4 / 4, 2: (1 - 0.5) / 4 + 1.75 / 4 / 4, 3: (1 - 0.5) / 4 + 1.75 / 4 / 4}
    assert model.probability(1, []) == pytest.approx(unigram[1])
    assert model.probability(2, [1]) == pytest.approx((2 - 0.75) / 3 + 1.25 / 3 * unigram[2])
    assert model.probability(3, [1]) == pytest.approx((1 - 0.5) / 3 + 1.25 / 3 * unigram[3])


def test_words_of_the_reference_model() -> None:
    train = piece("train")
    tokenizer = train.word_tokenizer(["It's nine, it's 9:15 - don't! It's late."] * 2 + ["once"])
    encoded = tokenizer("It's 9:15, don't be once late!", return_offsets_mapping=True)
    text = "It's 9:15, don't be once late!"
    pieces = [text[start:end] for start, end in encoded.offset_mapping[1:]]
    assert pieces == ["It's", "9", ":", "15", ",", "don't", "be", "once", "late", "!"]
    assert encoded.input_ids[0] == 2 and [encoded.input_ids[i] == 3 for i in (7, 8)] == [True, True]
    assert tokenizer.convert_ids_to_tokens([4]) == ["It's"]  # the most frequent comes first


def test_blocks_hold_the_whole_text_in_another_order_each_epoch() -> None:
    train = piece("train")
    documents = [[[[10 * d + s] * 7 for s in range(3)] for _ in range(4)] for d in range(1, 60)]
    stream = train.Stream(documents)
    first, again, second = stream.epoch(0), stream.epoch(0), stream.epoch(1)
    assert first.equal(again) and not first[:3].equal(second[:3])
    assert (first[1:, 0] == first[:-1, -1]).all()  # each block goes on where the one before ends
    words = [word for document in documents for paragraph in document for sentence in paragraph for word in sentence]
    found = Counter(first[:, 1:].flatten().tolist())
    assert sum(n for word, n in found.items() if word != train.END) > 0.9 * len(words)
    assert not found.keys() - {*words, train.END}


def test_rates_rise_and_fall() -> None:
    train = piece("train")
    recipe = train.Recipe()
    rates: list[Any] = [train.rate(step, recipe) for step in range(recipe.steps + 1)]
    assert recipe.warm_up == 200 and rates.index(max(rates)) in (199, 200)
    assert max(rates) == pytest.approx(1.5e-3) and rates[-1] == pytest.approx(5e-5)
    assert math.isclose(rates[0], 1.5e-3 / 200)


def test_moments_are_log_spaced() -> None:
    train = piece("train")
    kept = train.Recipe().steps_kept
    assert len(kept) == 20 and kept[:3] == [0, 10, 14] and kept[-1] == 3600
    ratios = [after / before for before, after in pairwise(kept[3:])]
    assert max(ratios) < 1.1 * min(ratios)
    assert train.Recipe(steps=5, moments=20).steps_kept == [0, 1, 2, 3, 4, 5]
    assert train.Recipe(moments=2).steps_kept == [0, 3600]


@pytest.mark.parametrize("memories", ["relu", "softmax"])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(
    memories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = piece("train")
    monkeypatch.setattr(train, "EVERY", 4)
    sizes = {"layers": 1, "d_model": 12, "d_ff": 8, "heads": 6, "steps": 11, "batch": 2, "length": 16, "moments": 3}
    recipe = train.Recipe(**sizes, memories=memories)
    rng = random.Random(0)
    stream = train.Stream(
        [[[[rng.randrange(4, 40) for _ in range(9)] for _ in range(3)] for _ in range(2)] for _ in range(4)], 16
    )
    assert len(stream.epoch(0)) < 3 * 11  # a stop comes after the end of an epoch, too
    tokenizer = train.word_tokenizer(["a few words, a few more words"] * 2)

    def run(work: Path, stop_at: int | None = None, **changed: Any) -> Any:
        work.mkdir(exist_ok=True)
        chosen = replace(recipe, **changed)
        config = train.configuration(40, chosen)
        config.update({"cutoffs": [10, 20]})
        one = train.Run(work, config, chosen, stream, stream.epoch(7), tokenizer)
        one.resume()
        if stop_at is not None:
            step = one.optimizer.step
            monkeypatch.setattr(one.optimizer, "step", lambda: 1 / 0 if one.step == stop_at else step())
        one.run()
        return one

    whole = run(tmp_path / "whole")
    for stop_at in (2, 5, 9, 10):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped", stop_at)
    resumed = run(tmp_path / "stopped")
    assert (resumed.step, resumed.epoch, resumed.block) == (whole.step, whole.epoch, whole.block) and whole.epoch > 0
    for name, tensor in whole.model.state_dict().items():
        assert tensor.equal(resumed.model.state_dict()[name]), name
    losses = [[(point["train"], point["held_out"]) for point in one.curve] for one in (whole, resumed)]
    assert losses[0] == losses[1] and [point["step"] for point in whole.curve] == [4, 8, 11]
    moments = [sorted(path.name for path in (tmp_path / which / "moments").iterdir()) for which in ("whole", "stopped")]
    assert moments[0] == moments[1] == ["step-00000", "step-00001", "step-00011"]
    for name in moments[0]:  # each is a model by itself, with its step
        files = [tmp_path / which / "moments" / name for which in ("whole", "stopped")]
        assert (files[0] / "model.safetensors").read_bytes() == (files[1] / "model.safetensors").read_bytes()
        assert json.loads((files[0] / "training.json").read_text())["step"] == int(name[-5:])
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "whole" / "moments" / "step-00011")
    for name, tensor in kept.state_dict().items():
        assert tensor.dtype == torch.float16 and tensor.equal(whole.model.state_dict()[name].half()), name
    assert AutoTokenizer.from_pretrained(tmp_path / "whole" / "moments" / "step-00000")("a few").input_ids == [2, 4, 5]
    with pytest.raises(SystemExit, match="is of another recipe"):
        run(tmp_path / "whole", seed=1)
    other = {"relu": "softmax", "softmax": "relu"}[memories]
    with pytest.raises(SystemExit, match="is of another recipe"):
        run(tmp_path / "whole", memories=other)


def test_a_checkpoint_from_before_there_were_kinds_of_memories_goes_on(tmp_path: Path) -> None:
    """It says nothing of them; they were ReLU cells."""
    train = piece("train")
    recipe = train.Recipe(layers=1, d_model=12, d_ff=8, heads=6, steps=3, batch=2, length=8, moments=2)
    stream = train.Stream([[[[5, 6, 7, 8, 9] * 8]]] * 9, 8)
    tokenizer = train.word_tokenizer(["a few words, a few more words"] * 2)

    def run() -> Any:
        config = train.configuration(40, recipe)
        config.update({"cutoffs": [10, 20]})
        return train.Run(tmp_path, config, recipe, stream, stream.epoch(7), tokenizer)

    run().run()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["recipe"].pop("memories") == "relu"
    torch.save(state, tmp_path / "state.pt")
    again = run()
    again.resume()
    assert again.step == 3
    with pytest.raises(SystemExit, match="memories are relu or softmax, not gelu"):
        train.Recipe(memories="gelu")


def test_another_seed_is_another_training() -> None:
    train = piece("train")
    sentences = [[[[10 * d + s] * 7 for s in range(3)] for _ in range(4)] for d in range(1, 60)]
    first, again, other = (train.Stream(sentences, 32, seed).epoch(0) for seed in (0, 0, 1))
    assert first.equal(again) and not first[:3].equal(other[:3]) and first.shape[1] == 33
    order = list(range(1, 60))
    random.Random(0).shuffle(order)  # as when `reference` was trained, before there were seeds
    seen = dict.fromkeys(word // 10 for word in first[:, 1:].flatten().tolist() if word != train.END)
    assert list(seen) == order[-len(seen) :] and len(seen) >= 58


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # a vocabulary so small has one band
def test_a_family_has_a_folder_for_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = piece("family")
    texts = [json.dumps({"text": " ".join(SENTENCES[i : i + 8])}) for i in range(0, 40, 4)]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(texts) + "\n")
    sizes = "--layers=1 --d-model=12 --d-ff=8 --heads=2 --steps=4 --batch=1 --length=8 --moments=3"
    command = [
        "family.py",
        "--corpus",
        str(corpus),
        "--out",
        str(tmp_path / "out"),
        "--runs",
        "seed0",
        "seed1",
        "softmax1",
        *sizes.split(" "),
    ]
    monkeypatch.setattr(sys, "argv", command)
    family.main()
    weights = []
    for name in ("seed0", "seed1"):
        moments = sorted(path.name for path in (tmp_path / "out" / name / "moments").iterdir())
        assert moments == ["step-00000", "step-00001", "step-00004"]
        weights.append((tmp_path / "out" / name / "moments" / "step-00000" / "model.safetensors").read_bytes())
    assert weights[0] != weights[1]
    told = [
        json.loads((tmp_path / "out" / name / "moments" / "step-00004" / "training.json").read_text())
        for name in ("seed1", "softmax1")
    ]
    assert [(one["memories"], one["seed"], one["d_ff"]) for one in told] == [("relu", 1, 8), ("softmax", 1, 8)]
    kinds = [
        type(AutoModelForCausalLM.from_pretrained(tmp_path / "out" / name / "moments" / "step-00004")).__name__
        for name in ("seed1", "softmax1")
    ]
    assert kinds == ["WikiLMForCausalLM", "AllAttentionForCausalLM"]


def test_its_size() -> None:
    from ffmem.models.wikilm import WikiLMForCausalLM

    train = piece("train")
    model = WikiLMForCausalLM(train.configuration(12_000, train.Recipe()))
    n_inner = sum(p.numel() for name, p in model.named_parameters() if name.startswith("model.layers"))
    assert 3e6 < n_inner < 5e6 and 4 * sum(p.numel() for p in model.parameters()) < 25e6
