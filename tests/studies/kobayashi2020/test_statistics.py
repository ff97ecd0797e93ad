"""The experiments on corpora: against slow loops on tiny models."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from ffmem import load_model
from ffmem.analyses.attention.inputs import AttentionInput, AttentionToken, as_batch, run
from ffmem.analyses.attention.maps import LayerAttention, layer_attention
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.corpus.registry import open_corpus
from ffmem.models.transformer import Transformer
from ffmem.studies.kobayashi2020 import statistics
from ffmem.studies.kobayashi2020.findings import FIRST, OTHER, POINTS, AttentionFindings
from ffmem.studies.kobayashi2020.statistics import reproduce_attention

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
    json.dumps(asdict(found))


@pytest.mark.parametrize("variant", ["bert", "gpt2"])
def test_shares_are_those_of_a_slow_loop(
    variant: str, tiny_folder: Callable[[str], Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one text read as a map: sums over a category's columns, means over queries and heads."""
    model = load_model(tiny_folder(variant))
    texts: list[list[int]] = []
    own = statistics.Statistics.read

    def read(self: statistics.Statistics, number: int, ids: list[int]) -> None:
        texts.append(ids)
        own(self, number, ids)

    monkeypatch.setattr(statistics.Statistics, "read", read)
    found = reproduce_attention(model, open_corpus(str(corpus)), SMALL)
    weights, norms = _slow_shares(model, texts)
    place = found.categories.index(POINTS)
    assert len(weights) == found.weight_shares[1][place].n > 0
    assert found.weight_shares[1][place].value == pytest.approx(np.mean(weights), rel=1e-4)
    assert found.norm_shares[1][place].value == pytest.approx(np.mean(norms), rel=1e-4)


def _map_of(model: Transformer, ids: list[int]) -> LayerAttention:
    """The second layer over these very ids: a text that is cut within a word need not be that of its tokens."""
    before, after = model.special_tokens("auto")
    tokens = tuple(
        AttentionToken("", one, place < len(before) or place >= len(ids) - len(after)) for place, one in enumerate(ids)
    )
    read = AttentionInput("", None, tokens, ())
    found: list[LayerAttention] = []
    run(
        model,
        *as_batch(model, read),
        lambda layer, states: found.append(layer_attention(model, layer, states, read, "inside")),
        model.attention_layers[1:2],
    )
    return found[0]


def _slow_shares(model: Transformer, texts: list[list[int]]) -> tuple[list[float], list[float]]:
    """Of points and commas in the second layer, for each text with some."""
    before, _ = model.special_tokens("auto")
    weights, norms = [], []
    for ids in texts:
        one = _map_of(model, ids)
        names = [bytes(model.vocabulary[number]).strip() for number in ids]
        points = np.array(
            [name in (b".", b",") and not token.special for name, token in zip(names, one.keys, strict=True)]
        )
        if not before:
            points[0] = False
        if not points.any():
            continue
        weights.append(float(one.weights[:, :, points].sum(2).mean()))
        norms.append(float(one.head_norms[:, :, points].sum(2).mean() / one.head_norms.sum(2).mean()))
    return weights, norms


def test_the_same_input_gives_the_same_numbers(tiny_folder: Callable[[str], Path], corpus: Path) -> None:
    first, again = (found_in("gpt2", tiny_folder, corpus) for _ in range(2))
    assert json.dumps(asdict(first)) == json.dumps(asdict(again))
    other = reproduce_attention(
        load_model(tiny_folder("gpt2")), open_corpus(str(corpus)), AttentionOptions(12, 24, 3000, seed=1)
    )
    assert other.variation != first.variation
