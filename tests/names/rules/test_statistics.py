import math

import numpy as np
import pytest

from ffmem.names.rules.statistics import grouped, log_odds


def test_log_odds_are_those_of_the_paper_with_equal_weights() -> None:
    k, n, n_firing, n_text = 30.0, 200.0, 1000.0, 100_000.0
    prior = 500 * n / n_text
    inside = math.log((k + prior) / (n_firing + 500 - k - prior))
    outside = math.log((n - k + prior) / (n_text - n_firing + 500 - (n - k) - prior))
    expected = inside - outside - 1.645 * math.sqrt(1 / (k + prior) + 1 / (n - k + prior))
    found = log_odds(np.array([k]), np.array([n]), np.array([n_firing]), n_text, np.array([k]))
    assert found[0] == pytest.approx(expected)


def test_groups_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    unit = np.sort(rng.integers(0, 5, 300))
    value, weight = rng.integers(0, 7, 300), rng.random(300)
    document = np.concatenate([np.sort(rng.integers(0, 9, (unit == u).sum())) for u in range(5)])
    found = grouped(unit, value, weight, document, 7)
    expected = {}
    for u, v, w, d in zip(unit.tolist(), value.tolist(), weight.tolist(), document.tolist(), strict=True):
        k, squares, count, documents = expected.get((u, v), (0.0, 0.0, 0, frozenset()))
        expected[u, v] = (k + w, squares + w * w, count + 1, documents | {d})
    assert list(zip(found.unit.tolist(), found.value.tolist(), strict=True)) == sorted(expected)
    for i, key in enumerate(sorted(expected)):
        k, squares, count, documents = expected[key]
        assert (found.k[i], found.squares[i]) == pytest.approx((k, squares))
        assert (found.count[i], found.n_documents[i]) == (count, len(documents))
    assert (found.unit[found.of_entry] == unit).all() and (found.value[found.of_entry] == value).all()
