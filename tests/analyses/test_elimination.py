"""Compositions of the last layer, against cases written by hand."""

import numpy as np
import pytest

from ffmem.analyses.elimination import cases, elimination
from tests.analyses.made_refinement import prefixes, refinement

VOCABULARY = ["a", "b", "c", "d"]
SCORES = np.zeros((4, 3, 2), np.float32)
SCORES[1, 1] = (-2.0, 1.0)  # y lowers R against O
SCORES[3, 1] = (3.0, 1.0)  # y raises R, and yet O wins
RANKS = np.zeros((4, 3, 2), np.int64)
RANKS[1, 1], RANKS[3, 1] = (3, 1), (1, 2)
#                  agreement, composition, residual, composition, in the last layer
MADE = refinement(
    [[0], [0], [1], [2]], [[0], [1], [2], [1]], [[0], [2], [1], [3]], last_scores=SCORES, last_ranks=RANKS
)


def test_vetoes_are_counted_among_compositions_alone() -> None:
    answer = elimination(MADE, len(VOCABULARY))
    assert answer.n == 2 and answer.veto.value == 0.5
    assert answer.residual_rank.value == pytest.approx((3 / 3 + 1 / 3) / 2)  # of four tokens: the last, and the second
    assert answer.residual_lowest.value == 0.5
    assert answer.residual_rank_under_ff == pytest.approx(np.quantile([3, 1], (0.05, 0.25, 0.5, 0.75, 0.95)))
    assert answer.output_rank_under_ff == pytest.approx(np.quantile([1, 2], (0.05, 0.25, 0.5, 0.75, 0.95)))


def test_cases_for_people() -> None:
    first, second = cases(MADE, prefixes([0, 2, 1, 3]), VOCABULARY)
    assert (first.prefix, first.residual_token, first.ff_token, first.output_token) == ("abc", "a", "b", "c")
    assert (first.change, second.change) == (-3.0, 2.0)
    assert first.residual_token_scores == (0.0, -2.0, 0.0) and second.output_token_ranks == (0, 2, 0)


def test_none_at_all() -> None:
    answer = elimination(refinement([[0]], [[0]], [[0]]), 4)
    assert answer.n == 0 and np.isnan(answer.residual_rank_under_ff).all()
