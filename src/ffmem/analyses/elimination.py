"""The last layer's compositions: does it argue against what the stream proposed? Geva et al. 2021, section 5.2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import NOTHING, Estimate, mean, numbered
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.refinement import CASES, QUANTILES, Refinement
from ffmem.analyses.resampling import of_draws, quantile_draws

N_CASES = 100
"""Cases for people to judge, as in the paper."""
LOWEST = 0.01
"""The end of the vocabulary where a token is argued against."""


@dataclass(frozen=True)
class Elimination:
    """Last-layer compositions: the layer's output is neither what the stream nor what the layer proposed."""

    n: int
    veto: Estimate
    """Share in which y lowers R against O: nearly all, wherever scores are linear, since O won."""
    residual_rank: Estimate
    """Median rank of R under y, as a share of the vocabulary: 0 where y is for it, 1 where y is against it."""
    residual_lowest: Estimate
    """Share in which R is among the lowest `LOWEST` of all tokens under y."""
    residual_rank_under_ff: tuple[float, ...]
    """Quantiles of the rank of R under y, at `QUANTILES`: near d_vocab if y argues against it."""
    output_rank_under_ff: tuple[float, ...]
    """The same of O."""
    output_rank_under_residual: tuple[float, ...]
    """How near O was already."""


def elimination(found: Refinement, d_vocab: int, *, seed: int = 0) -> Elimination:
    """The study of the last layer that the paper did by hand, in numbers (section 5.2); documents are drawn.

    Args:
        found: what happened at each prefix.
        d_vocab: tokens that are ranked.
        seed: of the bootstraps.
    """
    some = found.cases[:, -1] == CASES.index("composition")
    scores, ranks, documents = found.last_scores[some], found.last_ranks[some], found.document[some]
    n, (groups, n_groups) = len(scores), numbered(documents)
    change = scores[:, 1, 0] - scores[:, 1, 1]  # of R against O, by y
    share = ranks[:, 1, 0] / max(d_vocab - 1, 1)

    def quantiles(values: np.ndarray) -> tuple[float, ...]:
        return tuple(np.quantile(values, QUANTILES).tolist()) if n else (np.nan,) * len(QUANTILES)

    middle = NOTHING
    if n:
        draws = quantile_draws(share[:, None], groups, n_groups, 0.5, seed=seed)[:, 0]
        middle = of_draws(float(np.median(share)), draws, n_groups, n).estimate
    return Elimination(
        n=n,
        veto=mean(change < 0, documents, seed=seed),
        residual_rank=middle,
        residual_lowest=mean(share >= 1 - LOWEST, documents, seed=seed),
        residual_rank_under_ff=quantiles(ranks[:, 1, 0]),
        output_rank_under_ff=quantiles(ranks[:, 1, 1]),
        output_rank_under_residual=quantiles(ranks[:, 0, 1]),
    )


@dataclass(frozen=True)
class Case:
    """One composition, for a person to judge: is the new token related to the old one, or distant from it?"""

    prefix: str
    residual_token: str
    """R, the candidate of the stream."""
    output_token: str
    """O, the candidate after the layer: the model's prediction."""
    ff_token: str
    """Y, what the layer alone would say."""
    residual_token_scores: tuple[float, float, float]
    """Scores of R under r, y and o."""
    output_token_scores: tuple[float, float, float]
    residual_token_ranks: tuple[int, int, int]
    """Its ranks there, from 0."""
    output_token_ranks: tuple[int, int, int]
    change: float
    """By how much y raises R over O; below 0 it is a veto."""


def cases(found: Refinement, prefixes: Prefixes, vocabulary: Sequence[str], *, seed: int = 0) -> tuple[Case, ...]:
    """At most `N_CASES` random compositions of the last layer, in the order of the prefixes."""
    some = np.flatnonzero(found.cases[:, -1] == CASES.index("composition"))
    drawn = np.sort(np.random.default_rng(seed).choice(some, min(N_CASES, len(some)), replace=False))
    return tuple(_case(found, prefixes, vocabulary, number) for number in drawn.tolist())


def _case(found: Refinement, prefixes: Prefixes, vocabulary: Sequence[str], number: int) -> Case:
    scores, ranks = found.last_scores[number], found.last_ranks[number]
    return Case(
        prefix="".join(vocabulary[i] for i in prefixes.tokens(number).tolist()),
        residual_token=vocabulary[int(found.residual_top[number, -1])],
        output_token=vocabulary[int(found.output_top[number, -1])],
        ff_token=vocabulary[int(found.ff_top[number, -1])],
        residual_token_scores=tuple(scores[:, 0].tolist()),
        output_token_scores=tuple(scores[:, 1].tolist()),
        residual_token_ranks=tuple(ranks[:, 0].tolist()),
        output_token_ranks=tuple(ranks[:, 1].tolist()),
        change=float(scores[1, 0] - scores[1, 1]),
    )
