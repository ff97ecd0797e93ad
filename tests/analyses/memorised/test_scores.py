"""Scores of membership, against plain loops."""

import zlib

import numpy as np
import pytest

from ffmem.analyses.memorised.scores import blind_scores, membership_scores, min_k


def test_min_k_is_the_mean_of_the_lowest() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 4, 5, 37):
        log_p = -rng.exponential(size=n)
        lowest = sorted(log_p.tolist())[: max(1, n // 5)]
        assert min_k(log_p) == pytest.approx(sum(lowest) / len(lowest))


def test_only_what_counts_is_in_a_score() -> None:
    losses = np.array([np.nan, 1.0, 9.0, 3.0, 2.0])
    kept = np.array([True, True, False, True, True])
    text = "the same words again and again, the same words again and again"
    found = membership_scores(losses, kept, text, {"unigram": np.array([5.0, 5.0, 5.0, 4.0, 6.0])})
    assert found["loss"] == pytest.approx(-2)
    assert found["loss by zlib"] == pytest.approx(-2 / len(zlib.compress(text.encode())))
    assert found["min-20 %"] == pytest.approx(-3)
    assert found["loss - unigram"] == pytest.approx(((5 - 1) + (4 - 3) + (6 - 2)) / 3)


def test_nothing_is_said_of_a_text_without_a_token_that_counts() -> None:
    found = membership_scores(np.array([1.0]), np.array([False]), "x", {"unigram": np.array([1.0])})
    assert len(found) == 4 and all(np.isnan(value) for value in found.values())


def test_what_is_said_without_the_model() -> None:
    kept, unknown = np.array([True, False, True, True]), np.array([False, False, True, False])
    found = blind_scores(kept, unknown, np.array([1.0, 9.0, 2.0, 3.0]), np.array([1.0, 9.0, 1.0, 1.0]))
    assert found == pytest.approx(
        {"length": 4, "share of unknown or rare tokens": 0.5, "unigram loss": -2, "bigram loss": -1}
    )
