"""Layers in numbers, of prefixes that are written by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.intervals import proportion
from ffmem.analyses.refined_layers import by_layer
from tests.analyses.made_refinement import refinement

N, LAYERS = 400, 3


def made(document: np.ndarray, seed: int = 0, chance: float = 0.25):
    """The same layer three times over: R = 0 and O = 0 always; Y = 1; a cell agrees where the document says so."""
    rng = np.random.default_rng(seed)
    agrees = np.repeat((rng.random(document.max() + 1) < 0.5)[document][:, None], LAYERS, axis=1)
    zeros = np.zeros((N, LAYERS), np.int64)
    return agrees, refinement(
        zeros.tolist(),
        (zeros + 1).tolist(),
        zeros.tolist(),
        active_agrees=agrees,
        active_chance=np.full((N, LAYERS), chance, np.float32),
        n_active=zeros + 12,
        document=document,
    )


def test_shares_and_their_excess_over_chance(index_of: Callable[[str], Index]) -> None:
    index = index_of("wikilm")
    agrees, found = made(np.arange(N) // 10)
    told = by_layer(index, found)
    for place, layer in enumerate(told.layers):
        share = agrees[:, 0].mean()
        assert layer.layer == index.cells.layers[place].name and layer.cases["residual"].value == 1
        assert layer.zero_agreement.value == pytest.approx(1 - share)
        assert layer.agrees["active"].value == pytest.approx(share)
        assert layer.agrees_by_chance["active"].value == pytest.approx(0.25)
        assert layer.agrees_beyond_chance["active"].value == pytest.approx(share - 0.25)
        assert layer.probability_median.value == 1.0  # ln p is 0
    assert told.fewest_active.value == pytest.approx(12 / 48) == told.most_active.value
    assert told.least_zero_agreement.value == pytest.approx(1 - agrees[:, 0].mean(), abs=0.005)


def test_an_interval_is_as_wide_as_documents_are_few(index_of: Callable[[str], Index]) -> None:
    """All of a document agree or none does: forty documents are forty things, however many prefixes each has."""
    index = index_of("wikilm")
    agrees, found = made(np.arange(N) // 10)
    layer = by_layer(index, found).layers[0].zero_agreement
    hits = int((~agrees[::10, 0]).sum())
    of_documents, of_prefixes = proportion(hits, 40), proportion(10 * hits, N)
    width = layer.high - layer.low
    assert width == pytest.approx(of_documents.high - of_documents.low, rel=0.15)
    assert width > 2.5 * (of_prefixes.high - of_prefixes.low)
