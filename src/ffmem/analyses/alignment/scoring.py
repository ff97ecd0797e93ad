"""How well links agree with gold ones: precision, recall and the alignment error rate of Och & Ney (2003)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from ffmem.analyses.alignment.links import Link, Links
from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered


@dataclass(frozen=True)
class Score:
    """Links A against sure links S and possible ones P, counted over all pairs together."""

    error_rate: Estimate
    """AER = 1 - (|A and S| + |A and P|) / (|A| + |S|); its interval is a bootstrap over pairs. n counts pairs."""
    precision: float
    """|A and P| / |A|."""
    recall: float
    """|A and S| / |S|."""
    n_links: int
    """|A|."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; the error rate in parts of 1."""
        return {
            "aer": self.error_rate.value,
            "interval": [self.error_rate.low, self.error_rate.high],
            "precision": self.precision,
            "recall": self.recall,
            "links": self.n_links,
        }


def score(found: Sequence[frozenset[Link]], gold: Sequence[Links], *, seed: int = 0) -> Score:
    """The score of links.

    Args:
        found: the links of each pair.
        gold: those that are right, pair by pair.
        seed: of the bootstrap.
    """
    counts = _counts(found, gold)
    sure, possible, n_links, n_sure = (int(total) for total in counts.sum(0))
    agreement = mean_ratio(agreement_sums([found], gold), seed=seed)
    low, high = agreement.interval()
    return Score(
        error_rate=Estimate(1 - agreement.value, 1 - high, 1 - low, len(counts)),
        precision=possible / n_links if n_links else float("nan"),
        recall=sure / n_sure if n_sure else float("nan"),
        n_links=n_links,
    )


def difference(
    found: Sequence[frozenset[Link]], other: Sequence[frozenset[Link]], gold: Sequence[Links], *, seed: int = 0
) -> Uncertain:
    """The error rate of some links less that of others on the same pairs: below 0 if the first are better.

    Args:
        found: the links of each pair.
        other: those that they are compared with.
        gold: those that are right.
        seed: of the bootstrap, whose draws take the same pairs for both.
    """
    # AER is 1 - agreement, so that the difference turns around
    return mean_ratio(agreement_sums([other], gold), agreement_sums([found], gold), seed=seed)


def agreement_sums(several: Sequence[Sequence[frozenset[Link]]], gold: Sequence[Links]) -> Sums:
    """What each pair adds to 1 - AER of several sets of links, a column each."""
    groups, n_groups = numbered(np.arange(len(gold)))
    parts = []
    for found in several:
        counts = _counts(found, gold)
        both = (counts[:, 0] + counts[:, 1], counts[:, 2] + counts[:, 3])
        parts.append([np.bincount(groups, one, n_groups) for one in both])
    upper, lower = (np.stack(column, axis=1) for column in zip(*parts, strict=True))
    return Sums(upper, lower)


def _counts(found: Sequence[frozenset[Link]], gold: Sequence[Links]) -> Int64[np.ndarray, "pairs 4"]:
    """|A and S|, |A and P|, |A| and |S| of each pair."""
    return np.array(
        [
            (len(links & right.sure), len(links & right.possible), len(links), len(right.sure))
            for links, right in zip(found, gold, strict=True)
        ],
        dtype=np.int64,
    ).reshape(-1, 4)
