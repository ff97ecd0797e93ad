"""Do a unit's strongest positions share a topic, or their earlier words, more than other positions with the same last words?

The words of a trigger decide its topic in part. What is held against it is therefore random positions with the same last
token, or the same last two: nested, so that what one word does is not told as meaning.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64

from ffmem.analyses.meaning.draws import quotient

N_STRONGEST = 25
"""Positions of a unit, one a document."""
N_DRAWS = 20
"""Of matched positions."""
MOST_BLOCKS = 1_000
"""More documents than these are put together at random, and drawn so."""
_UNITS_AT_A_TIME = 512


class Likeness(Protocol):
    """How alike positions are, in [-1, 1]."""

    def __call__(self, positions: Int64[np.ndarray, "units slots"]) -> Float[np.ndarray, "units slots slots"]:
        """Of every pair of each unit's positions."""
        ...


@dataclass(frozen=True)
class SameLabel:
    """1 for positions from documents of one label, 0 for others."""

    label: Int64[np.ndarray, "n"]
    """By position."""

    def __call__(self, positions: Int64[np.ndarray, "units slots"]) -> Float[np.ndarray, "units slots slots"]:
        """Of every pair of each unit's positions."""
        labels = self.label[positions]
        alike: np.ndarray = labels[:, :, None] == labels[:, None, :]
        return alike.astype(np.float32)


@dataclass(frozen=True)
class Cosine:
    """The cosine of vectors of length 1."""

    vector: Float32[np.ndarray, "n dimensions"]
    """By position."""

    def __call__(self, positions: Int64[np.ndarray, "units slots"]) -> Float[np.ndarray, "units slots slots"]:
        """Of every pair of each unit's positions."""
        vectors = self.vector[positions]
        found: np.ndarray = vectors @ vectors.transpose(0, 2, 1)
        return found


@dataclass(frozen=True)
class Triggers:
    """The strongest positions of units."""

    position: Int64[np.ndarray, "units slots"]
    there: Bool[np.ndarray, "units slots"]
    """Whether there is one."""

    def where(self, kept: Bool[np.ndarray, "units slots"]) -> "Triggers":
        """Some of them."""
        return Triggers(self.position, self.there & kept)


def strongest(
    c: Float[np.ndarray, "units n"], document: Int64[np.ndarray, "n"], n: int = N_STRONGEST, *, pool: int = 400
) -> Triggers:
    """The positions of each unit's largest coefficients above 0, the first of each document; ties in the order of the text.

    Args:
        c: coefficients times sign.
        document: of each position.
        n: so many of each unit.
        pool: from so many largest ones, at most: the first of each document beyond them are not looked for.
    """
    position, there = np.zeros((2, len(c), n), dtype=np.int64)
    for unit, row in enumerate(c):
        some = np.flatnonzero(row > 0)
        if len(some) > pool:
            some = some[row[some] >= np.partition(row[some], len(some) - pool)[len(some) - pool]]
        some = some[np.argsort(-row[some], kind="stable")]
        _, once = np.unique(document[some], return_index=True)
        found = some[np.sort(once)[:n]]
        position[unit, : len(found)], there[unit, : len(found)] = found, 1
    return Triggers(position, there.astype(bool))


class Groups:
    """Positions by what they are matched on.

    Args:
        group: of each position, from 0.
        document: of each position.
        seed: of the order within each group.
    """

    def __init__(self, group: Int64[np.ndarray, "n"], document: Int64[np.ndarray, "n"], *, seed: int = 0) -> None:
        self.of, self._seed = group, seed
        self._size = np.bincount(group)
        self._first = np.cumsum(self._size) - self._size
        pairs = np.unique(group * (int(document.max(initial=0)) + 1) + document)
        self._n_documents = np.bincount(pairs // (int(document.max(initial=0)) + 1), minlength=len(self._size))

    def matchable(self, triggers: Triggers) -> Triggers:
        """Those with an equal in another document: the others say nothing, since only they themselves match them."""
        return triggers.where(self._n_documents[self.of[triggers.position]] > 1)

    @cached_property
    def orders(self) -> list[Int32[np.ndarray, "n"]]:
        """Positions group by group, in random order within each: once for each of `N_DRAWS` draws."""
        rng = np.random.default_rng([self._seed, 14])
        return [np.lexsort((rng.random(len(self.of)), self.of)).astype(np.int32) for _ in range(N_DRAWS)]

    def draw(
        self, triggers: Triggers, order: Int32[np.ndarray, "n"], rng: np.random.Generator
    ) -> Int64[np.ndarray, "units slots"]:
        """For each trigger a random position of its group, for those of one unit different ones."""
        group = self.of[triggers.position]
        equal = (group[:, :, None] == group[:, None, :]) & triggers.there[:, None, :]
        rank = np.tril(equal, -1).sum(2)
        size = self._size[group]
        leader = equal.argmax(2)  # the first trigger of the group: all of them begin where it does
        begin = np.take_along_axis(rng.random(group.shape), leader, 1) * size
        drawn: np.ndarray = order[self._first[group] + (begin.astype(np.int64) + rank) % size]
        return drawn


@dataclass(frozen=True)
class Coherence:
    """How alike the strongest positions of units are, and positions matched with them: pairs of different documents count."""

    own: Float64[np.ndarray, "units"]
    """Mean over pairs; NaN for a unit without any."""
    matched: Float64[np.ndarray, "draws units"]
    """The same of matched positions."""
    n_pairs: Float64[np.ndarray, "units"]
    """Of each unit."""
    own_sums: Float64[np.ndarray, "two blocks blocks"]
    """By the documents, or blocks of them, of the pair: the sum of likeness, and the number of pairs."""
    matched_sums: Float64[np.ndarray, "two blocks blocks"]
    """Of all draws together, over their number."""

    @property
    def above_all(self) -> Bool[np.ndarray, "units"]:
        """Units that are more alike than in each of the draws: by chance 1 of (draws + 1)."""
        with np.errstate(invalid="ignore"):
            above = np.all(self.own > self.matched, axis=0)
        told: np.ndarray = above[~np.isnan(self.own)]
        return told

    @property
    def smallest_lift(self) -> float:
        """What a unit must have to stand above all draws: the median of the largest draw over the draws' mean."""
        some = self.matched[:, ~np.isnan(self.own)]
        means = some.mean(0)
        ratios = some.max(0)[means > 0] / means[means > 0]
        return float(np.median(ratios)) if len(ratios) else float("nan")

    def levels(self, weights: Float[np.ndarray, "draws blocks"]) -> Float64[np.ndarray, "two draws"]:
        """Mean likeness over all pairs, own and matched, if documents count so many times."""
        means = []
        for sums in (self.own_sums, self.matched_sums):
            of_pairs, n_pairs = (np.einsum("bd,bd->b", weights @ one, weights) for one in sums)
            means.append(quotient(of_pairs, n_pairs))
        return np.stack(means)


def coherence(
    triggers: Triggers,
    groups: Groups,
    document: Int64[np.ndarray, "n"],
    block: Int64[np.ndarray, "documents"],
    likeness: Likeness,
    *,
    seed: int = 0,
) -> Coherence:
    """Compare the triggers of units with `N_DRAWS` draws of matched positions.

    Args:
        triggers: of units; those that match nothing but themselves are left out.
        groups: what is matched.
        document: of each position.
        block: of each document: see `blocks`.
        likeness: of pairs.
        seed: of the draws.
    """
    triggers = groups.matchable(triggers)
    rng = np.random.default_rng([seed, 8])
    n_blocks = int(block.max(initial=0)) + 1
    own, n_pairs, own_sums = _pairs(triggers.position, triggers.there, document, block, likeness, n_blocks)
    matched, matched_sums = np.zeros((N_DRAWS, len(own))), np.zeros_like(own_sums)
    for number, order in enumerate(groups.orders):
        drawn = groups.draw(triggers, order, rng)
        matched[number], _, sums = _pairs(drawn, triggers.there, document, block, likeness, n_blocks)
        matched_sums += sums / N_DRAWS
    missing = np.isnan(matched).any(0)
    own[missing] = np.nan
    return Coherence(own, matched, n_pairs, own_sums, matched_sums)


def blocks(n_documents: int, rng: np.random.Generator) -> Int64[np.ndarray, "documents"]:
    """What is drawn together in a bootstrap: each document by itself, unless there are more than `MOST_BLOCKS`."""
    if n_documents <= MOST_BLOCKS:
        return np.arange(n_documents)
    numbers: np.ndarray = rng.permutation(n_documents) % MOST_BLOCKS
    return numbers


def _pairs(
    position: np.ndarray,
    there: np.ndarray,
    document: np.ndarray,
    block: np.ndarray,
    likeness: Likeness,
    n_blocks: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_pairs = np.zeros(len(position))
    means, sums = np.full(len(position), np.nan), np.zeros((2, n_blocks * n_blocks))
    before = np.tri(position.shape[1], k=-1, dtype=bool)
    for first in range(0, len(position), _UNITS_AT_A_TIME):
        some = slice(first, first + _UNITS_AT_A_TIME)
        documents = document[position[some]]
        counts = there[some, :, None] & there[some, None, :] & before
        counts &= documents[:, :, None] != documents[:, None, :]
        alike = np.where(counts, likeness(position[some]), 0)
        n_pairs[some] = n = counts.sum((1, 2))
        means[some] = quotient(alike.sum((1, 2)), n)
        units, left, right = np.nonzero(counts)
        of = block[documents]
        pair = of[units, left] * n_blocks + of[units, right]
        sums[0] += np.bincount(pair, alike[units, left, right], minlength=n_blocks**2)
        sums[1] += np.bincount(pair, minlength=n_blocks**2)
    return means, n_pairs, sums.reshape(2, n_blocks, n_blocks)
