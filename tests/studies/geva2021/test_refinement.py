"""Figures 9 to 11 and section 5.2 are what the stored arrays say."""

import numpy as np
import pytest

from ffmem.analyses.elimination import Case
from ffmem.analyses.intervals import proportion
from ffmem.studies.geva2021.refinement import RefinementResult, refinement_of
from tests.studies.conftest import Story


def test_findings_are_those_of_the_stored_arrays(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    result = story.findings.get("refinement", RefinementResult)
    assert result.n_prefixes == len(arrays.n_active) == 30
    for place, layer in enumerate(result.layers):
        assert layer.residual_match.value == np.mean(arrays.residual_top[:, place] == arrays.prediction)
        assert layer.zero_agreement.value == np.mean(~arrays.active_agrees[:, place])
        assert sum(case.value for case in layer.cases.values()) == pytest.approx(1)
    assert sum(result.saturation) == pytest.approx(1)
    assert len(result.layers) == story.index.n_layers
    cases: tuple[Case, ...] = story.findings.get("elimination-cases", tuple)
    assert len(cases) == result.elimination.n <= 100
    for case in cases:
        (r, y, o), (r_new, y_new, o_new) = case.residual_token_scores, case.output_token_scores
        assert r >= r_new and o_new >= o and case.change == pytest.approx(y - y_new)
        assert case.residual_token_ranks[0] == 0 == case.output_token_ranks[2]
    rows = story.report.tables["elimination-cases"].rows
    assert [row["rank of R under r"] for row in rows] == [0] * len(cases)
    assert [row["score of O under y"] for row in rows] == [case.output_token_scores[1] for case in cases]


def test_numbers_pool_the_layers(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    numbers = {one.quantity: one for name, one in story.report.numbers if name in ("Figure 9", "Figure 11")}
    matches = arrays.residual_top == arrays.prediction[:, None]
    expected = proportion(int(matches[:, -1].sum()), 30)  # of three layers a third is one
    highest = numbers["prediction already on top of the stream, highest third"]
    assert (highest.ours, highest.low, highest.high) == (expected.value, expected.low, expected.high)
    stays = (arrays.output_top == arrays.residual_top) & (arrays.output_top != arrays.ff_top)
    assert numbers["residual, all layers"].ours == pytest.approx(stays.mean())
