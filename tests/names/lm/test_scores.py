import numpy as np
import pytest

from ffmem.names.lm.judge import Judgement, Simulated, Verdicts
from ffmem.names.lm.scores import UnitScore, auc, balanced_accuracy, mean_score, share, unit_scores


def verdicts(fires: list[int], p: list[float], failed: list[int] | None = None, other: str = "random") -> Verdicts:
    groups = tuple("firing" if one else other for one in fires)
    return Verdicts(
        np.array(fires, dtype=bool), np.array(p), np.array(failed or [0] * len(p), dtype=bool), groups,
        tuple(range(len(p))),
    )  # fmt: skip


NONE = verdicts([], [])


def test_balanced_accuracy_and_auc_by_hand() -> None:
    of = verdicts([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.4, 0.5])
    # 2 of 3 and 2 of 2 are right; of 6 pairs 5 are in order, one is a tie, one is not
    assert balanced_accuracy(of.correct, of.fires) == pytest.approx((2 / 3 + 1) / 2)
    assert auc(of.p, of.fires) == pytest.approx((2 + 2 + 0.5 + 0) / 6)
    assert np.isnan(balanced_accuracy(of.correct[:3], of.fires[:3]))


def test_failed_answers_count_as_wrong_and_are_counted() -> None:
    # a failed answer has the opposite of the truth
    of = verdicts([1, 1, 0, 0], [0.0, 0.9, 1.0, 0.1], [1, 0, 1, 0])
    found = unit_scores(Judgement(of, NONE, NONE, (), (True, None)), 0)
    assert found["detection"].value == 0.5 and found["detection"].n_failed == 2
    assert found["detection"].low < 0.5 < found["detection"].high
    assert found["intruder"].value == 0.5 and found["intruder"].n_failed == 1
    assert "fuzzing" not in found and "detection_hard" not in found


def test_random_and_hard_items_are_scored_apart() -> None:
    both = Verdicts(
        np.array([1, 1, 0, 0], dtype=bool), np.array([0.9, 0.9, 0.1, 0.9]), np.zeros(4, dtype=bool),
        ("firing", "firing", "random", "hard"), (1, 2, 3, 4),
    )  # fmt: skip
    found = unit_scores(Judgement(both, NONE, NONE, (), ()), 0)
    assert (found["detection"].value, found["detection_hard"].value) == (1.0, 0.5)


def test_strengths_are_correlated_over_all_sentences_together() -> None:
    # within each sentence what is said falls where the truth rises, and yet between them both rise
    one = Simulated(np.array([0.1, 0.0]), np.array([0.0, 0.1]), "random", False)
    two = Simulated(np.array([1.0, 0.9]), np.array([0.9, 1.0]), "top", False)
    found = unit_scores(Judgement(NONE, NONE, NONE, (one, two), ()), 0)
    said, true = np.array([0.1, 0, 1, 0.9]), np.array([0, 0.1, 0.9, 1])
    assert found["simulation"].value == pytest.approx(np.corrcoef(said, true)[0, 1])
    assert found["simulation_random"].value == pytest.approx(-1)
    silent = Simulated(np.zeros(2), np.array([0.9, 1.0]), "top", True)
    nothing = unit_scores(Judgement(NONE, NONE, NONE, (silent,), ()), 0)["simulation"]
    assert nothing.value == 0.0 and nothing.n_failed == 1


def test_the_interval_of_a_mean_is_as_wide_as_units_and_items_make_it() -> None:
    rng = np.random.default_rng(0)
    n_units, n_items, values = 30, 20, []
    hits = 0
    for _ in range(60):
        p = rng.beta(6, 4, n_units)  # units differ, and items within them
        k = rng.binomial(n_items, p)
        scores = [
            UnitScore("x", one / n_items, rng.binomial(n_items, one / n_items, 1000) / n_items, 0, 1, n_items, 0)
            for one in k.tolist()
        ]
        found = mean_score(scores, 1)
        hits += found.low <= 0.6 <= found.high
        values.append(found.high - found.low)
    assert hits >= 54
    both = np.sqrt(0.6 * 0.4 / 11 + 0.6 * 0.4 / n_items) / np.sqrt(n_units) * 3.92
    assert np.mean(values) == pytest.approx(both, rel=0.35)


def test_shares_have_wilsons_interval() -> None:
    found = share([True] + [False] * 9)
    assert (found.value, found.n) == (0.1, 10)
    assert (found.low, found.high) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert np.isnan(share([]).value)
