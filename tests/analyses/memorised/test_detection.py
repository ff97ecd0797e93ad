"""Areas and hits, against counting every pair, and against what chance is known to give."""

import numpy as np
import pytest

from ffmem.analyses.memorised.detection import (
    auc,
    auc_gain,
    auc_over_documents,
    curve,
    hits,
    hits_over_documents,
)  # fmt: skip


def standard_error(n_members: int, n_others: int) -> float:
    """Of the area where a score says nothing, as is known of ranks."""
    return float(np.sqrt((n_members + n_others + 1) / (12 * n_members * n_others)))


def pairs(members: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean([(a > b) + (a == b) / 2 for a in members for b in others]))


def test_the_area_is_the_share_of_pairs_with_ties_as_halves() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 8, 60).astype(float), rng.integers(0, 6, 41).astype(float)
    assert auc(members, others) == pytest.approx(pairs(members, others))
    metrics = pytest.importorskip("sklearn.metrics", reason="not a dependency")
    labels = np.repeat([1, 0], [60, 41])
    assert auc(members, others) == pytest.approx(metrics.roc_auc_score(labels, np.concatenate([members, others])))
    alarms, found = curve(members, others)
    assert float(np.trapezoid(found, alarms)) == pytest.approx(pairs(members, others))
    assert (alarms[0], found[0], alarms[-1], found[-1]) == (0, 0, 1, 1)


def test_membership_itself_is_1_and_a_constant_a_half() -> None:
    members, others = np.ones(50), np.zeros(200)
    assert auc_over_documents(members, others).value == 1
    assert hits(members, others, 0.01) == 1
    same = auc_over_documents(np.zeros(50), others)
    assert same.value == 0.5 and same.p_above(0.5) >= 0.5
    assert hits(np.zeros(50), others, 0.01) == 0


def test_others_against_others_are_a_half_within_the_known_error() -> None:
    rng = np.random.default_rng(1)
    n_members, n_others = 120, 60
    areas = [auc(rng.normal(size=n_members), rng.normal(size=n_others)) for _ in range(1500)]
    error = standard_error(n_members, n_others)
    assert standard_error(4834, 245) == pytest.approx(0.019, abs=5e-4)
    assert np.mean(areas) == pytest.approx(0.5, abs=3 * error / np.sqrt(len(areas)))
    assert np.std(areas) == pytest.approx(error, rel=0.06)


def test_the_error_of_an_area_is_what_it_varies_by() -> None:
    rng = np.random.default_rng(2)
    drawn = [(rng.normal(0.8, 1, 80), rng.normal(0, 1, 50)) for _ in range(400)]
    spread = np.std([auc(*one) for one in drawn])
    told = np.mean([auc_over_documents(*one, seed=number).error for number, one in enumerate(drawn[:12])])
    assert told == pytest.approx(spread, rel=0.15)


def test_hits_are_counted_above_the_scores_of_the_allowed_false_alarms() -> None:
    others = np.arange(200.0)  # of which 1 % are two: the third highest is the threshold
    members = np.array([196.0, 197.0, 197.5, 198.5, 300.0])
    assert hits(members, others, 0.01) == pytest.approx(3 / 5)
    found = hits_over_documents(members, others, 0.01)
    assert found.value == pytest.approx(3 / 5) and 0 <= found.interval()[0] < found.interval()[1] <= 1


@pytest.mark.parametrize(("false_alarms", "needed"), [(0.01, 100), (0.001, 1000)])
def test_too_few_others_say_nothing_of_so_few_false_alarms(false_alarms: float, needed: int) -> None:
    members = np.arange(50.0)
    assert np.isnan(hits_over_documents(members, np.arange(needed - 1.0), false_alarms).value)
    assert not np.isnan(hits_over_documents(members, np.arange(float(needed)), false_alarms).value)
    assert np.isnan(auc_over_documents(np.empty(0), members).value)


def test_what_two_scores_of_the_same_documents_have_in_common_is_taken_off() -> None:
    rng = np.random.default_rng(5)
    members, others = rng.normal(0.7, 1, 90), rng.normal(0, 1, 70)
    worse = members + rng.normal(0, 0.3, 90), others + rng.normal(0, 0.3, 70)
    gain = auc_gain((members, others), worse)
    assert gain.value == pytest.approx(pairs(members, others) - pairs(*worse))
    apart = np.hypot(auc_over_documents(members, others).error, auc_over_documents(*worse).error)
    assert 0 < gain.error < apart / 2
    assert auc_gain((members, others), (members, others)).value == 0
