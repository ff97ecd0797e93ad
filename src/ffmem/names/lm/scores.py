"""How good names are, from what a judge says: with intervals over items within units, and over units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from ffmem.analyses.intervals import Estimate, wilson
from ffmem.names.lm.judge import Judgement, Simulated, Verdicts

N_DRAWS = 1_000
_Z = 1.959963984540054
"""97.5 % of a normal distribution lie below it."""


@dataclass(frozen=True)
class UnitScore:
    """How good the name of one unit is by one measure."""

    measure: str
    value: float
    draws: Float64[np.ndarray, "draws"]
    """The same of items drawn anew."""
    low: float
    high: float
    n: int
    n_failed: int


def balanced_accuracy(correct: Bool[np.ndarray, "n"], fires: Bool[np.ndarray, "n"]) -> float:
    """The mean of the shares that are right among what fires and among the rest; NaN without one of them."""
    if not fires.any() or fires.all():
        return float("nan")
    return float((correct[fires].mean() + correct[~fires].mean()) / 2)


def auc(p: Float64[np.ndarray, "n"], fires: Bool[np.ndarray, "n"]) -> float:
    """The chance that what fires is held likelier than what does not, equals counting half; NaN without one of them."""
    return float(_wins(p, fires).mean()) if fires.any() and not fires.all() else float("nan")


def unit_scores(judgement: Judgement, seed: int) -> dict[str, UnitScore]:
    """Every score of a name that there are items for, by measure."""
    rng = np.random.default_rng([seed, 25])
    found: list[UnitScore] = []
    for measure, of in (
        ("detection", judgement.detection.against("random")),
        ("detection_hard", judgement.detection.against("hard")),
        ("fuzzing", judgement.fuzzing),
    ):
        found += _of_verdicts(measure, of, rng)
    simulated = judgement.simulation
    found += _correlation("simulation", simulated, rng)
    found += _correlation("simulation_random", [one for one in simulated if one.group == "random"], rng)
    if judgement.intruders:
        hits = np.array([one is True for one in judgement.intruders], dtype=np.float64)
        draws = rng.binomial(len(hits), hits.mean(), N_DRAWS) / len(hits)
        low, high = wilson(float(hits.mean()), len(hits), _Z)
        n_failed = sum(one is None for one in judgement.intruders)
        found.append(UnitScore("intruder", float(hits.mean()), draws, low, high, len(hits), n_failed))
    return {one.measure: one for one in found}


def _of_verdicts(measure: str, of: Verdicts, rng: np.random.Generator) -> list[UnitScore]:
    value = balanced_accuracy(of.correct, of.fires)
    if np.isnan(value):
        return []
    n, n_failed = len(of.fires), int(of.failed.sum())
    draws, spread = np.zeros(N_DRAWS), np.zeros(N_DRAWS)
    for some in (of.correct[of.fires], of.correct[~of.fires]):
        draws += rng.binomial(len(some), some.mean(), N_DRAWS) / len(some) / 2
        # Ten of ten right is no proof that all would be: for one unit alone the shares are drawn from what they may be
        spread += rng.beta(some.sum() + 0.5, (~some).sum() + 0.5, N_DRAWS) / 2
    low, high = np.quantile(spread, (0.025, 0.975)).tolist()
    main = UnitScore(measure, value, draws, min(low, value), max(high, value), n, n_failed)
    wins = _wins(of.p, of.fires)
    rows, columns = (rng.multinomial(k, np.full(k, 1 / k), N_DRAWS) for k in wins.shape)
    of_auc = ((rows @ wins) * columns).sum(1) / wins.size
    low, high = np.quantile(of_auc, (0.025, 0.975)).tolist()
    return [main, UnitScore(f"{measure}_auc", float(wins.mean()), of_auc, low, high, n, n_failed)]


def _wins(p: np.ndarray, fires: np.ndarray) -> np.ndarray:
    difference = p[fires][:, None] - p[~fires][None, :]
    wins: np.ndarray = (difference > 0) + 0.5 * (difference == 0)
    return wins


def _correlation(measure: str, simulated: Sequence[Simulated], rng: np.random.Generator) -> list[UnitScore]:
    """Pearson's correlation over the tokens of all sentences together; 0 where nothing was said to differ."""
    if not simulated or not np.concatenate([one.true for one in simulated]).any():
        return []
    value = _pearson(simulated)
    if np.isnan(value):
        return []
    n = len(simulated)
    draws = np.array([_pearson([simulated[i] for i in some]) for some in rng.integers(0, n, (N_DRAWS // 5, n))])
    draws = np.where(np.isnan(draws), value, draws)
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    n_failed = sum(one.failed for one in simulated)
    return [UnitScore(measure, value, np.resize(draws, N_DRAWS), min(low, value), max(high, value), n, n_failed)]


def _pearson(simulated: Sequence[Simulated]) -> float:
    said, true = (np.concatenate([getattr(one, name) for one in simulated]) for name in ("said", "true"))
    if true.std() == 0:
        return float("nan")
    return float(np.corrcoef(said, true)[0, 1]) if said.std() > 0 else 0.0


def mean_score(scores: Sequence[UnitScore], seed: int) -> Estimate:
    """The mean over units, with an interval over units and over the items within each."""
    if not scores:
        return Estimate(np.nan, np.nan, np.nan, 0)
    n, value = len(scores), float(np.mean([one.value for one in scores]))
    rng = np.random.default_rng([seed, 26])
    draws = np.stack([one.draws for one in scores])
    some = rng.integers(0, n, (N_DRAWS, n))
    means = draws[some, np.arange(N_DRAWS)[:, None]].mean(1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return Estimate(value, min(low, value), max(high, value), n)


def share(hits: Sequence[bool]) -> Estimate:
    """The share of units of which something holds, with Wilson's interval."""
    if not hits:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value = sum(hits) / len(hits)
    return Estimate(value, *wilson(value, len(hits), _Z), len(hits))
