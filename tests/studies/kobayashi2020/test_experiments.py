"""The experiments on corpora: against slow loops on tiny models, from Python and from the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ffmem.studies.kobayashi2020.experiments import FIRST, OTHER, POINTS, AttentionFindings, reproduce_attention

from ffmem import load_model
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.corpus.registry import open_corpus
from ffmem.models.transformer import Transformer
from tests.cli.conftest import ffmem

SMALL = AttentionOptions(texts=12, length=24, count_tokens=3000)


def found_in(variant: str, tiny_folder: Callable[[str], Path], corpus: Path) -> AttentionFindings:
    return reproduce_attention(load_model(tiny_folder(variant)), open_corpus(str(corpus)), SMALL)


@pytest.mark.parametrize("variant", ["bert", "gpt2", "llama", "gemma2", "falcon", "t5", "wikilm"])
def test_it_reads_what_the_model_sees(variant: str, tiny_folder: Callable[[str], Path], corpus: Path) -> None:
    found = found_in(variant, tiny_folder, corpus)
    assert found.n_texts == 12 and found.n_tokens <= 12 * 24 and found.n_counted >= 3000
    first = {"bert": ("[CLS]", "[SEP]"), "llama": ("<s>",), "gemma2": ("<s>",), "wikilm": ("<s>",)}
    assert found.categories == (*first.get(variant, (FIRST,)), POINTS, OTHER)
    assert len(found.layers) == (6 if variant == "t5" else 3) and np.shape(found.variation) == (len(found.layers), 4)
    for rows in (found.weight_shares, found.norm_shares):
        for layer in rows:
            shares = [one.value for one in layer if one.n == found.n_texts]
            assert all(0 <= one <= 1 for one in shares)
    for estimate in (*found.correlations, found.frequency_norm, found.frequency_weight):
        assert estimate.n == 0 or -1 <= estimate.value <= 1
    assert ("AttnResLn-N" in found.mixing) == (variant == "bert")
    json.dumps(found.to_json())


@pytest.mark.parametrize("variant", ["bert", "gpt2"])
def test_shares_are_those_of_a_slow_loop(
    variant: str, tiny_folder: Callable[[str], Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one text read as a map: sums over a category's columns, means over queries and heads."""
    from ffmem.studies.kobayashi2020 import experiments

    model = load_model(tiny_folder(variant))
    texts: list[list[int]] = []
    own = experiments._Gathered.read
    monkeypatch.setattr(experiments._Gathered, "read", lambda self, n, ids: (texts.append(ids), own(self, n, ids))[1])
    # until every text with a point or comma is the text of its tokens: some are cut within a word
    for seed in range(10):
        texts.clear()
        found = reproduce_attention(model, open_corpus(str(corpus)), replace(SMALL, seed=seed))
        weights, norms = _slow_shares(model, texts)
        place = found.categories.index(POINTS)
        if weights and len(weights) == found.weight_shares[1][place].n:
            assert found.weight_shares[1][place].value == pytest.approx(np.mean(weights), rel=1e-4)
            assert found.norm_shares[1][place].value == pytest.approx(np.mean(norms), rel=1e-4)
            return
    pytest.fail("no draw of texts could be read back")


def _slow_shares(model: Transformer, texts: list[list[int]]) -> tuple[list[float], list[float]]:
    """Of points and commas in the second layer, for each text with some that is the text of its tokens."""
    before, after = model.special_tokens("auto")
    weights, norms = [], []
    for ids in texts:
        text = model.tokenizer.decode(ids[len(before) : len(ids) - len(after)])
        maps = attention_maps(model, text)
        if [one.token_id for one in maps.read.tokens] != ids:
            continue
        names = [bytes(model.vocabulary[one]).strip() for one in ids]
        points = np.array(
            [name in (b".", b",") and not token.special for name, token in zip(names, maps.read.tokens, strict=True)]
        )
        if not before:
            points[0] = False
        if not points.any():
            continue
        one = maps.layers[1]
        weights.append(float(one.weights[:, :, points].sum(2).mean()))
        norms.append(float(one.head_norms[:, :, points].sum(2).mean() / one.head_norms.sum(2).mean()))
    return weights, norms


def test_the_same_input_gives_the_same_numbers(tiny_folder: Callable[[str], Path], corpus: Path) -> None:
    first, again = (found_in("gpt2", tiny_folder, corpus) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(again.to_json())
    other = reproduce_attention(
        load_model(tiny_folder("gpt2")), open_corpus(str(corpus)), AttentionOptions(12, 24, 3000, seed=1)
    )
    assert other.variation != first.variation


def test_frequency_ranks_count_the_corpus() -> None:
    from ffmem.studies.kobayashi2020.experiments import _frequency_ranks

    assert _frequency_ranks(np.array([5, 0, 9, 5, 0])).tolist() == [2, 4, 1, 3, 4]


def test_the_command_writes_a_page(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    small = ("--texts", 6, "--length", 16, "--count-tokens", 2000)
    shown, told = ffmem("reproduce-attention", tiny_folder("bert"), corpus, "--out", tmp_path / "a", *small)
    assert "Spearman of weight and ‖f(x)‖, [SEP]" in shown and "~ -0.69" in shown and "texts:" in told
    page = (tmp_path / "a" / "report.html").read_text()
    assert "Attention is not only a weight" in page and "http" not in page.split("<script>")[0].replace("https://", "")
    names = {"variation", "weight-shares", "norm-shares", "transformed-norms", "correlations", "mixing"}
    assert {path.stem for path in (tmp_path / "a" / "figures").iterdir()} == names
    kept = json.loads((tmp_path / "a" / "results.json").read_text())
    assert kept["categories"] == ["[CLS]", "[SEP]", POINTS, OTHER]
    again, _ = ffmem(
        "reproduce-attention", tiny_folder("bert"), corpus, "--out", tmp_path / "b", *small, "--quiet", "--json"
    )
    assert json.loads(again)["variation"] == kept["variation"]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("some words here", (), "Expected two texts or more"),
        ("words " * 500, ("--length", 3), "--length is 3"),
        ("words " * 500, ("--texts", 1), "--texts is 1"),
        ("words " * 500, ("--bos", "yes"), "no BOS token"),
    ],
)
def test_what_a_user_can_mend(
    text: str, arguments: tuple[object, ...], told: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "t.txt").write_text(text)
    _, wrong = ffmem(
        "reproduce-attention", tiny_folder("bert"), tmp_path / "t.txt", "--out", tmp_path / "o", *arguments, expect=2
    )
    assert told in wrong
