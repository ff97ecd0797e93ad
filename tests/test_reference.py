"""The model that comes with ffmem, as a user meets it."""

import hashlib
import json
import platform
import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save

import ffmem
from ffmem import IndexOptions, RunOptions, queries
from ffmem.corpus.registry import open_corpus
from ffmem.index.machine import machine
from ffmem.index.text.writer import is_held_out
from ffmem.index.verification.verify import verify_index
from ffmem.models.transformer import Transformer
from tests.test_reference_model import piece

FOLDER = files("ffmem") / "data" / "reference"
CARD = (FOLDER / "README.md").read_text()


@pytest.fixture(scope="module")
def model() -> Transformer:
    return ffmem.load_model("reference")


def test_it_is_the_architecture_of_the_paper_made_small(model: Transformer) -> None:
    facts = model.facts
    assert (facts.family, facts.n_layers, facts.activation, facts.gated) == ("wikilm", 16, "relu", False)
    inner = sum(p.numel() for name, p in model.module.named_parameters() if name.startswith("model.layers"))
    assert 3e6 <= inner <= 5e6
    with as_file(FOLDER) as folder:
        assert sum(file.stat().st_size for file in Path(folder).iterdir()) <= 25e6


def test_top_of_the_last_state_is_its_prediction(model: Transformer) -> None:
    """Nothing is folded, nothing is normalised: the state itself is scored."""
    ids = model.tokenizer("The train was late, and the station was cold.", return_tensors="pt").input_ids
    with torch.inference_mode():
        states = model.module.model(ids)[0]
        logits = model.logits(ids)
    assert logits is not None and torch.equal(model.project(states[0], "adaptive").argmax(-1), logits[0].argmax(-1))
    assert torch.allclose(logits[0].exp().sum(-1), torch.ones(ids.shape[1]), atol=1e-4)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ffmem.Index:
    out = tmp_path_factory.mktemp("reference") / "index"
    options = IndexOptions(top=10, max_tokens=20_000)
    return ffmem.build_index("reference", "topics", out, options=options, run=RunOptions(workers=0))


def test_an_index_of_it(index: ffmem.Index) -> None:
    assert index.n_cells == 16 * 576
    found = verify_index(index, n_batches=3)
    assert found.problems == () and found.same_bytes
    chosen = queries.highlights(index)
    assert len(chosen) == 3 and "the topic" in chosen[1].why


def without_later(path: Path) -> bytes:
    """A file of arrays as it was before layers had the array that the hashes do not know."""
    arrays = load_file(path)
    return path.read_bytes() if arrays.pop("n_active_sentences", None) is None else save(arrays)


def test_its_arrays_have_the_bytes_that_were_written_down(index: ffmem.Index) -> None:
    """What no other test can see: a change of code that changes a bit somewhere. A processor of another kind may, too."""
    written = json.loads((Path(__file__).parent / "reference_arrays.json").read_text())
    found = {
        path.relative_to(index.folder).as_posix(): hashlib.sha256(without_later(path)).hexdigest()
        for path in sorted((index.folder / "index").rglob("*.safetensors"))
    }
    text = written["everywhere"]
    assert {name: found.pop(name) for name in text} == text  # of tokens, there is nothing to round
    kind = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {machine('cpu')}"
    if kind not in written["by processor"]:
        known = "; ".join(written["by processor"])
        pytest.skip(f"no hashes are written down for {kind}, until somebody adds them; there are some for {known}")
    assert found == written["by processor"][kind]


def test_its_held_out_documents_are_new_to_the_model(index: ffmem.Index) -> None:
    with as_file(files("ffmem") / "data" / "topics.jsonl.xz") as corpus:
        trained, held_out = piece("train").documents(corpus)
    texts = {one.name: one.text for one in open_corpus("topics")}
    n = index.manifest.counts.n_documents
    documents = [index.text.document(number) for number in range(n)]
    assert {texts[one.name] for one in documents if one.held_out} <= set(held_out)
    assert {texts[one.name] for one in documents if not one.held_out} <= set(trained)
    assert not set(trained) & set(held_out) and any(one.held_out for one in documents)


def test_it_predicts_held_out_text_as_well_as_its_card_says(model: Transformer) -> None:
    """Over 40 documents that nobody chose, within what so few leave open."""
    evaluate = piece("evaluate")
    texts = [one.text for one in open_corpus("topics") if is_held_out(one.text, IndexOptions())][:40]
    words = [evaluate.Words(text, model.tokenizer) for text in texts]
    log_p = [evaluate.by_reference(model, one)[one.known] for one in words]
    found = evaluate.interval([float(one.sum()) for one in log_p], [len(one) for one in log_p])
    told = json.loads((FOLDER / "evaluation.json").read_text())["reference"]
    assert found["low"] < told["perplexity"] < found["high"]


def figures(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_the_card_has_the_figures_that_were_measured() -> None:
    told: dict[str, Any] = json.loads((FOLDER / "evaluation.json").read_text())
    rows = dict(re.findall(r"^\| (\S[^|]*?) \| ([\d.]+ \| [\d.]+ to [\d.]+) \|$", CARD, re.MULTILINE))
    names = {
        "unigram": "unigram",
        "trigram": "trigram, Kneser-Ney",
        "reference": "`reference`",
        "smollm2": "SmolLM2-135M-Instruct",
    }
    for key, name in names.items():
        found = told[key]
        assert figures(rows[name]) == [round(found[one], 1) for one in ("perplexity", "low", "high")], name
    assert told["reference"]["high"] < told["trigram"]["low"]
    training = json.loads((FOLDER / "training.json").read_text())
    for expected in (
        training["parameters"],
        training["in_layers"],
        training["documents"],
        told["documents"],
        told["words"],
    ):
        assert f"{expected:,}" in CARD, expected
    points = {
        int(step): (train, new)
        for step, train, new in re.findall(r"^\| ([\d]+) \| ([\d.]+) \| ([\d.]+) \|$", CARD, re.MULTILINE)
    }
    curve = {one["step"]: one for one in training["curve"]}
    assert len(points) >= 8
    for step, values in points.items():
        assert values == (f"{curve[step]['train']:.2f}", f"{curve[step]['held_out']:.2f}")
