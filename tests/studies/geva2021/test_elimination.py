"""Section 5.2 is what the stored arrays say."""

import numpy as np
import pytest

from ffmem.analyses.elimination import Case
from ffmem.analyses.refinement import CASES
from ffmem.studies.geva2021.refinement import RefinementResult, refinement_of
from tests.studies.conftest import Story


def test_cases_lie_beside_the_page(story: Story) -> None:
    result = story.findings.get("refinement", RefinementResult)
    cases: tuple[Case, ...] = story.findings.get("elimination-cases", tuple)
    assert len(cases) == result.elimination.n <= 100
    for case in cases:
        (r, y, o), (r_new, y_new, o_new) = case.residual_token_scores, case.output_token_scores
        assert r >= r_new and o_new >= o and case.change == pytest.approx(y - y_new)
        assert case.residual_token_ranks[0] == 0 == case.output_token_ranks[2]
    rows = story.report.tables["elimination-cases"].rows
    assert [row["rank of R under r"] for row in rows] == [0] * len(cases)
    assert [row["score of O under y"] for row in rows] == [case.output_token_scores[1] for case in cases]


def test_the_rank_of_the_streams_candidate_is_told(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    composed = arrays.cases[:, -1] == CASES.index("composition")
    share = arrays.last_ranks[composed, 1, 0] / (len(story.index.text.vocabulary) - 1)
    numbers = {one.quantity: one.ours for name, one in story.report.numbers if name == "Section 5.2"}
    assert numbers["median rank of R under y in last-layer compositions, of the vocabulary"] == pytest.approx(
        np.median(share)
    )
    assert numbers["compositions with R among the lowest 1 % under y (by chance 1 %)"] == (share >= 0.99).mean()
    vetoes = [row["veto"] for row in story.report.tables["elimination-cases"].rows]
    changes = [row["y raises R over O by"] for row in story.report.tables["elimination-cases"].rows]
    assert vetoes == ["yes" if one < 0 else "no" for one in changes]
