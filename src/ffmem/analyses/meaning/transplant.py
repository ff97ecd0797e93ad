"""What is left of a coefficient when everything before the last words is replaced by other text: causal, nothing is fitted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from ffmem.analyses.meaning.draws import quotient
from ffmem.analyses.meaning.sample import Sample

N_KEPT = 2
"""The last tokens, which stay."""
SHORTEST, LONGEST = 7, 24
"""Places in a sentence that are looked at."""
N_DONORS = 2
"""Of each kind, for each position."""
STRONGEST_SHARE = 0.03
"""Of the positions, those of a unit's largest coefficients."""
MIN_STRONGEST = 5
"""Units with fewer positions above 0 are left out."""


@dataclass(frozen=True)
class Transplants:
    """Positions, and the prefixes in which their beginning is replaced by that of another sentence."""

    position: Int64[np.ndarray, "n"]
    """Number in the sample."""
    sequences: tuple[Int64[np.ndarray, "tokens"], ...]
    """Other topic (or, without labels, another document) first, `N_DONORS` of each position; then those of the same topic."""
    same: Bool[np.ndarray, "n"]
    """Whether there are such of the same topic; none at all if the corpus has no labels."""

    @property
    def n_other(self) -> int:
        """Sequences with another topic."""
        return N_DONORS * len(self.position)

    def by_position(self, values: Float[np.ndarray, "sequences units"]) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of sequences as (positions, donors, units): with other topics; with the same topic, NaN for none."""
        n_units = values.shape[1]
        other = values[: self.n_other].reshape(len(self.position), N_DONORS, n_units)
        same = np.full(other.shape, np.nan)
        same[self.same] = values[self.n_other :].reshape(int(self.same.sum()), N_DONORS, n_units)
        return other, same


def make_transplants(sample: Sample, n: int, *, seed: int = 0) -> Transplants:
    """Random positions between `SHORTEST` and `LONGEST`, and what takes the place of all but their last `N_KEPT` tokens.

    The beginning of another document's sentence, equally long.

    Args:
        sample: of a causal model.
        n: how many positions, at most.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, 10])
    able = np.flatnonzero((sample.place >= SHORTEST) & (sample.place <= LONGEST))
    lengths = np.array([len(one) for one in sample.sentences])
    label_of = sample.label_of
    label = None if label_of is None else label_of[sample.document_of]
    positions, others, same, has_same = [], [], [], []
    for position in np.sort(rng.permutation(able)[:n]).tolist():
        sentence, place = int(sample.sentence[position]), int(sample.place[position])
        document = sample.document_of[sentence]
        donors = (lengths >= place + 1 - N_KEPT) & (sample.document_of != document)
        alike = donors & (label == label[sentence]) if label is not None else np.zeros_like(donors)
        other = np.flatnonzero(donors & ~alike)
        if not len(other):
            continue
        end = sample.sentences[sentence][place + 1 - N_KEPT : place + 1]

        def replaced(donor: int, n_before: int = place + 1 - N_KEPT, end: np.ndarray = end) -> np.ndarray:
            return np.concatenate((sample.sentences[donor][:n_before], end))

        positions.append(position)
        others += [replaced(donor) for donor in rng.choice(other, N_DONORS).tolist()]
        has_same.append(bool(alike.any()))
        if has_same[-1]:
            same += [replaced(donor) for donor in rng.choice(np.flatnonzero(alike), N_DONORS).tolist()]
    return Transplants(np.array(positions, dtype=np.int64), (*others, *same), np.array(has_same, dtype=bool))


@dataclass(frozen=True)
class Kept:
    """Sums over each unit's strongest positions, by the positions, (positions, units); 0 for those that are not among them."""

    own: Float64[np.ndarray, "n units"]
    other: Float64[np.ndarray, "n units"]
    """With another topic before the last tokens."""
    gain: Float64[np.ndarray, "n units"]
    """What the same topic keeps more than another one; 0 where there is none of the same."""
    own_where_same: Float64[np.ndarray, "n units"]
    """Own coefficients where there is one of the same topic."""
    between_others: Float64[np.ndarray, "n units"]
    """The difference between two other topics: nothing but chance."""

    def ratios(
        self, weight: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[
        Float64[np.ndarray, "draws units"], Float64[np.ndarray, "draws units"], Float64[np.ndarray, "draws units"]
    ]:
        """What is kept with another topic, what the same one adds, and what chance adds, as shares of the own coefficients.

        Args:
            weight: from (positions, units) to weighted sums, (draws, units).
        """
        own, same = weight(self.own), weight(self.own_where_same)

        def share(values: np.ndarray, of: np.ndarray) -> np.ndarray:
            return quotient(weight(values), of)

        return share(self.other, own), share(self.gain, same), share(self.between_others, own)


def what_is_kept(
    own: Float[np.ndarray, "n units"],
    other: Float[np.ndarray, "n donors units"],
    same: Float[np.ndarray, "n donors units"],
) -> Kept:
    """Compare a unit's coefficients with those after the transplants, at its strongest positions.

    Args:
        own: coefficients times sign at the positions themselves.
        other: with other topics.
        same: with the same topic; NaN where there is none.
    """
    n_strongest = max(MIN_STRONGEST, round(STRONGEST_SHARE * len(own)))
    rank = np.argsort(np.argsort(-own, axis=0, kind="stable"), axis=0, kind="stable")
    counts = ((rank < n_strongest) & (own > 0)).astype(np.float64)
    counts *= (
        counts.sum(0) >= MIN_STRONGEST
    )  # one or two positions would decide what is told of a unit, in some draws none
    has_same = ~np.isnan(same).any((1, 2))
    gain = np.where(has_same[:, None], np.nan_to_num(same).mean(1) - other.mean(1), 0.0)
    return Kept(
        own=counts * own,
        other=counts * other.mean(1),
        gain=counts * gain,
        own_where_same=counts * own * has_same[:, None],
        between_others=counts * (other[:, 0] - other[:, 1]),
    )
