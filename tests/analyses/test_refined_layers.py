"""Layers in numbers, of prefixes that are written by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.intervals import Sums, each_ratio, numbered, proportion
from ffmem.analyses.refined_layers import by_layer, chance_sums
from ffmem.analyses.resampling import jackknifed
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


def test_the_prefixes_that_chance_is_taken_from_were_drawn_too() -> None:
    """The error of the excess against leaving out documents, with their prefixes in both roles, one at a time."""
    rng = np.random.default_rng(5)
    n, n_others, n_documents = 400, 40, 40
    document, others = rng.integers(0, n_documents, n), np.arange(n_others)
    here = rng.random(n) < 0.5
    # some of the others have nearly every token, some hardly any
    hits = rng.random((n, n_others)) < rng.beta(0.5, 0.5, n_others)
    apart = document[:, None] != others

    def chance_of(some: np.ndarray, of: np.ndarray) -> np.ndarray:
        return (hits & apart)[np.ix_(some, of)].sum(1) / apart[np.ix_(some, of)].sum(1)

    every, all_others = np.arange(n), np.arange(n_others)
    chance = chance_of(every, all_others)
    pull = ((hits - chance[:, None]) * apart / apart.sum(1, keepdims=True)).sum(0)
    tops = [[0]] * n
    found = refinement(
        tops, tops, tops, document=document, active_agrees=here[:, None], active_chance=chance[:, None],
        active_pull=pull[:, None], other_document=others,
    )  # fmt: skip
    (excess,), (by_chance,) = (each_ratio(chance_sums(found, "active", beyond=one)) for one in (True, False))
    assert excess.value == pytest.approx(here.mean() - chance.mean()) and by_chance.value == pytest.approx(
        chance.mean()
    )
    without = []
    for left_out in range(n_documents):
        some, of = np.flatnonzero(document != left_out), np.flatnonzero(others != left_out)
        by_rest = chance_of(some, of).mean()
        without.append((here[some].mean() - by_rest, by_rest))
    for one, column in ((excess, 0), (by_chance, 1)):
        spread = jackknifed(one.value, [each[column] for each in without], n)
        assert one.error == pytest.approx(spread.error, rel=0.1)
    groups, n_groups = numbered(document)
    (as_if_known,) = each_ratio(Sums.of(chance[:, None], groups, n_groups))
    assert by_chance.error > 5 * as_if_known.error
