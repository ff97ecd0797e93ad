"""The recipe of the reference model and its corpus: what its pieces promise."""

import importlib.util
import math
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
    rates: list[Any] = [train.rate(step) for step in range(train.STEPS + 1)]
    assert rates.index(max(rates)) in (train.WARM_UP - 1, train.WARM_UP) and rates[-1] == pytest.approx(train.LAST_RATE)
    assert max(rates) == pytest.approx(train.PEAK_RATE) and math.isclose(rates[0], train.PEAK_RATE / train.WARM_UP)


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = piece("train")
    for name, value in {"STEPS": 11, "EVERY": 4, "MOMENTS": (0, 6, 11), "BATCH": 2, "LENGTH": 16}.items():
        monkeypatch.setattr(train, name, value)
    rng = random.Random(0)
    stream = train.Stream(
        [[[[rng.randrange(4, 40) for _ in range(9)] for _ in range(3)] for _ in range(2)] for _ in range(4)]
    )
    assert len(stream.epoch(0)) < 3 * 11  # a stop comes after the end of an epoch, too

    def run(work: Path, stop_at: int | None = None) -> Any:
        work.mkdir(exist_ok=True)
        config = train.configuration(40)
        config.update({"hidden_size": 12, "num_hidden_layers": 1, "intermediate_size": 8, "cutoffs": [10, 20]})
        one = train.Run(work, config, stream, stream.epoch(7))
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
    assert moments[0] == moments[1] == ["step-00000.safetensors", "step-00006.safetensors", "step-00011.safetensors"]


def test_its_size() -> None:
    from ffmem.models.wikilm import WikiLMForCausalLM

    model = WikiLMForCausalLM(piece("train").configuration(12_000))
    n_inner = sum(p.numel() for name, p in model.named_parameters() if name.startswith("model.layers"))
    assert 3e6 < n_inner < 5e6 and 4 * sum(p.numel() for p in model.parameters()) < 25e6
