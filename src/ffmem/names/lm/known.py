"""What is known of where a unit fires: its triggers, the sample of all its positions, and where it is silent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ffmem.ids import CellId
from ffmem.names.halves import Half
from ffmem.names.lm.texts import Texts
from ffmem.store.keys import NO_TOKEN

FIRING = 0.01
"""A unit fires where its coefficient is among the largest of this share of positions."""
_ASKED = {"naming": 6, "judging": 12}
"""Positions of each kind that the model is asked about, where a silent one is wanted."""
Coefficients = Mapping[int, np.ndarray]
"""By sentence the coefficients of its own tokens, times the sign of the unit."""


class Unit(NamedTuple):
    """What gets a name: a cell, or of a gated cell one sign of its coefficient."""

    cell: CellId
    sign: int = 1

    def __str__(self) -> str:
        return f"{self.cell}{'' if self.sign == 1 else ' (-)'}"


LookUp = Callable[[Unit, Sequence[int]], Coefficients]
"""The coefficients of a unit in some sentences, by the model of the index."""


@dataclass(frozen=True)
class Positions:
    """Some positions of the indexed text, and what a unit does there."""

    tokens: Int64[np.ndarray, "n"]
    """Token indices."""
    coefficients: Float64[np.ndarray, "n"]
    """Times the sign."""
    weights: Float64[np.ndarray, "n"]
    """How many positions of the text each stands for."""

    def __len__(self) -> int:
        return len(self.tokens)

    def where(self, chosen: np.ndarray) -> "Positions":
        """Those of a mask, or of numbers in their order."""
        return Positions(self.tokens[chosen], self.coefficients[chosen], self.weights[chosen])


@dataclass(frozen=True)
class Known:
    """Where a unit fires, as far as an index knows it; of a fake one, where it is said to."""

    top: Positions
    """The triggers, strongest first."""
    sample: Positions
    silent: Int64[np.ndarray, "silent"]
    """Positions with a coefficient of 0 or less."""
    maximum: float
    threshold: float
    """The unit fires from here on: see `FIRING`. By the naming half."""

    def fires(self, positions: Positions) -> Bool[np.ndarray, "n"]:
        """At which positions it does."""
        found: np.ndarray = positions.coefficients >= self.threshold
        return found

    def strength(self, coefficient: float) -> int:
        """From 1 to 10, ten being the largest there is; 0 where the unit is silent."""
        if coefficient <= 0 or self.maximum <= 0:
            return 0
        return int(np.clip(np.ceil(10 * coefficient / self.maximum), 1, 10))


def positions(tokens: Sequence[int] | np.ndarray, coefficients: Sequence[float] | np.ndarray) -> Positions:
    """Positions that each stand for themselves."""
    found = np.asarray(tokens, dtype=np.int64)
    return Positions(found, np.asarray(coefficients, dtype=np.float64), np.ones(len(found)))


def known_of(texts: Texts, unit: Unit) -> Known:
    """What the index knows of a unit.

    Raises:
        InputError: the index was built without a sample.
    """
    index = texts.index
    place, row = index.cells.place(unit.cell)
    arrays, side = index.layer(place), (1 - unit.sign) // 2
    there = arrays.trigger_token[row, side] != NO_TOKEN
    top = positions(arrays.trigger_token[row, side][there], unit.sign * arrays.trigger_coefficient[row, side][there])
    found = index.sample(unit.cell, unit.sign)
    sample = Positions(
        found.tokens.astype(np.int64), found.coefficients.astype(np.float64), found.weights.astype(np.float64)
    )
    maximum = float(max([*top.coefficients[:1], *sample.coefficients], default=0.0))
    silent = np.unique(sample.tokens[sample.coefficients <= 0])
    return Known(top, sample, silent, maximum, threshold_of(sample.where(texts.halves.is_in("naming", sample.tokens))))


def threshold_of(sample: Positions) -> float:
    """From which coefficient on a position is among the largest `FIRING` of all, and above 0."""
    order = np.argsort(-sample.coefficients, kind="stable")
    values, reached = sample.coefficients[order], np.cumsum(sample.weights[order])
    positive = values > 0
    if not positive.any():
        return float(np.inf)
    within = positive & (reached <= FIRING * reached[-1])
    return float(values[within].min() if within.any() else values[0])


def candidates(texts: Texts, known: Known, half: Half, rng: np.random.Generator) -> Int64[np.ndarray, "some"]:
    """Positions of a half that look like those where a unit fires: whether it is silent there, the model can tell."""
    if not len(known.top):
        return np.empty(0, dtype=np.int64)
    n, like, pool = _ASKED[half], known.top.tokens, texts.pool(half)
    nearest = pool[np.argsort(-texts.alike(pool, like), kind="stable")]
    found = [
        texts.with_last(like, half, n, rng),
        texts.with_last(like, half, n, rng, two=True),
        np.array(one_each(texts, nearest, n), dtype=np.int64),
    ]
    return np.unique(np.concatenate(found))


def one_each(texts: Texts, tokens: np.ndarray, n: int) -> list[int]:
    """The first n positions, no two of one sentence."""
    _, first = np.unique(texts.index.text.sentence_of(tokens), return_index=True)
    chosen: list[int] = tokens[np.sort(first)][:n].tolist()
    return chosen


def with_silent(texts: Texts, known: Known, asked: np.ndarray, coefficients: Coefficients) -> Known:
    """The same, with those asked positions at which the model's coefficient is 0 or less."""
    values = at(texts, asked, coefficients)
    return replace(known, silent=np.union1d(known.silent, asked[values <= 0]))


def at(texts: Texts, tokens: np.ndarray, coefficients: Coefficients) -> Float64[np.ndarray, "n"]:
    """The coefficients at some positions; NaN where nobody has looked."""
    sentences = texts.index.text.sentence_of(tokens) if len(tokens) else tokens
    found = np.full(len(tokens), np.nan)
    for number, (token, sentence) in enumerate(zip(tokens.tolist(), sentences.tolist(), strict=True)):
        if sentence in coefficients:
            found[number] = coefficients[sentence][token - int(texts.index.text.sentence_start[sentence])]
    return found
