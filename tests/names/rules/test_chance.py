from itertools import product
from math import prod

import numpy as np
import pytest

from ffmem.names.rules.chance import accepted, poisson_binomial_tail, resamples


def test_the_tail_is_that_of_all_outcomes() -> None:
    chances = [[0.1, 0.5, 0.03, 0.9], [0.2], [], [0.3, 0.3, 0.3]]
    n_hits = [2, 1, 0, 3]
    expected = []
    for some, hits in zip(chances, n_hits, strict=True):
        outcomes = product((0, 1), repeat=len(some))
        expected.append(
            sum(
                prod(p if hit else 1 - p for p, hit in zip(some, one, strict=True))
                for one in outcomes
                if sum(one) >= hits
            )
        )
    unit = np.repeat(np.arange(4), [len(one) for one in chances])
    found = poisson_binomial_tail(unit, np.concatenate([np.array(one) for one in chances]), np.array(n_hits))
    assert found == pytest.approx(expected)


def test_as_many_hypotheses_are_rejected_as_benjamini_and_hochberg_had_in_their_example() -> None:
    """The 15 p-values of their paper (1995, section 3.2): the first four at 0.05."""
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    turned = np.array([*p[::-1], np.nan])
    assert accepted(turned).tolist() == [False] * 11 + [True] * 4 + [False]


def test_documents_of_a_half_are_drawn_as_often_as_there_are() -> None:
    quarter = np.array([0, 1, 2, 3, 3, 2], dtype=np.uint8)
    drawn = resamples(quarter, 1, 50, seed=3)
    assert (drawn[:2] == 0).all() and (drawn.sum(0) == 4).all() and len(np.unique(drawn, axis=1)[0]) > 5
