"""Both ends of a cell in one look, by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.cell import PromotedToken
from ffmem.queries.glance import glances, layer_shapes, promoted_shape
from tests.fixtures.made_index import Document, Layer, make_index


def test_by_hand(tmp_path: Path) -> None:
    table = [[4, -1], [0, 0], [3, -2], [2, 0], [1, -3], [0, 0]]
    index = make_index(
        tmp_path / "i", [Document([["a", "b"], ["a"], ["c"], ["a", "b"]])], [Layer(table)], top=5, gated=True
    )
    positive, negative = glances(index.cell("L0.0"), 2, "folded")
    assert [(one.token, one.n, one.share) for one in positive.fires_on] == [("a", 3, 0.75), ("c", 1, 0.25)]
    assert (positive.n_triggers, negative.n_triggers, negative.fires_on) == (4, 0, ())
    assert [(one.token, one.share) for one in positive.says] == [("a", 1.0), ("b", 0.5)]  # scores 2 and 1
    _, negative = glances(index.cell("L0.1"), 2, "folded")
    assert [(one.token, one.n) for one in negative.fires_on] == [("a", 3)]
    assert [one.token for one in negative.says] == [one.token for one in index.cell("L0.1").suppressed]


def test_log_probabilities_are_shown_as_shares_of_the_first(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a", "b"]])], [Layer([[1], [0]])], top=1)
    cell = replace(
        index.cell("L0.0"),
        promoted=(PromotedToken("a", 0, float(np.log(0.5))), PromotedToken("b", 1, float(np.log(0.125)))),
    )
    (one,) = glances(cell, 1, "adaptive")
    assert [shown.share for shown in one.says] == pytest.approx([1.0, 0.25])


@pytest.mark.parametrize("family", ["gpt2", "wikilm"])
def test_the_shape_of_a_list_is_that_of_a_loop(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    every = [index.cell(f"L1.{row}") for row in range(index.cells.layers[1].n_cells)]
    leads = [one.promoted[0].logit - one.promoted[-1].logit for one in every]
    masses = [sum(np.exp(token.logit) for token in one.promoted[:10]) for one in every]
    for row in (0, 7):
        found = promoted_shape(every[row], row, layer_shapes(index, 1))
        assert found.lead == pytest.approx(leads[row]) and found.n_tokens == len(every[row].promoted)
        assert found.lead_quantile == np.mean([one < leads[row] for one in leads])
        if family == "wikilm":  # an adaptive softmax, whose scores are log-probabilities
            assert 0 < found.top_mass <= 1 and found.top_mass == pytest.approx(masses[row])  # type: ignore[operator]
            assert found.top_mass_quantile == np.mean([one < masses[row] for one in masses])
        else:
            assert found.top_mass is None and found.top_mass_quantile is None
