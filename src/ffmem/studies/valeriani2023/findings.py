"""What the experiments keep: clouds of points layer by layer, and what halves of the documents say of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ffmem.analyses.geometry.halves import around
from ffmem.analyses.intervals import Estimate, Uncertain
from ffmem.analyses.resampling import chosen_of_draws, of_draws
from ffmem.studies.exhibit import Row
from ffmem.studies.results import Findings, Results, plain

TEXT, WORDS, CELLS = "sentences", "shuffled-words", "cells"
REDUCED = "o without 3 dimensions"
READ = {"o": "", "o, last token": ", at the last token"}
"""Kinds of points whose profiles are held against the papers: Valeriani et al. take means, the other paper the last token."""


@dataclass(frozen=True)
class Cloud:
    """The points of one kind in one layer."""

    layer: str
    stack: str
    dimension: Estimate
    """By GRIDE at the scale of the whole profile."""
    gride: tuple[float, ...]
    """At every scale."""
    two_nn: float
    """The fit."""
    two_nn_ml: float
    decimated: tuple[float, ...]
    """TwoNN's fit of N / 2^j points."""
    n_duplicates: int
    """Points that are the same as another: left out of dimensions."""
    labelled: Estimate
    """Share of neighbours with the same label; NaN where there is none."""
    near: Estimate
    """Share of neighbours that are neighbours in the next layer, too (of cells: by their values, too); NaN for the last."""


@dataclass(frozen=True)
class Geometry:
    """Clouds of the same points; what halves say of each lies beside it as arrays."""

    n_points: int
    n_groups: int
    """Documents, or what is drawn together."""
    n_repeated: int
    """Sentences that were left out as repetitions."""
    label_field: str
    n_labels: int
    """0 where documents do not say what they are about."""
    k: int
    orders: tuple[int, ...]
    divisors: tuple[int, ...]
    at: int
    """The number of the scale that dimensions are told at."""
    change: float
    """By how much a dimension changes to the next scale, as |ln|, median of layers."""
    chance: float
    """Share of pairs of different documents with the same label."""
    blind: Estimate
    """Share of neighbours with the same label, by words alone."""
    clouds: dict[str, tuple[Cloud, ...]]
    """By kind, the layers of all stacks in order."""

    @property
    def order(self) -> int:
        """N of the scale that dimensions are told at."""
        return self.orders[self.at]

    def stacks(self, kind: str = "o") -> dict[str, list[int]]:
        """The places of the layers of each stack."""
        found: dict[str, list[int]] = {}
        for place, one in enumerate(self.clouds[kind]):
            found.setdefault(one.stack, []).append(place)
        return found


def geometry(findings: Findings, experiment: str = TEXT) -> Geometry:
    """What an experiment found."""
    return findings.get(experiment, Geometry)


@dataclass(frozen=True)
class Profile:
    """A number of each layer of a stack, drawn together."""

    names: tuple[str, ...]
    values: Float64[np.ndarray, " layers"]
    draws: Float64[np.ndarray, "halves layers"]
    n_groups: int
    n: int

    @classmethod
    def of(cls, values: np.ndarray, halves: np.ndarray, names: Sequence[str], n_groups: int, n: int) -> "Profile":
        """From values by layer and what halves say, (layers, halves)."""
        pairs = zip(values.tolist(), halves, strict=True)
        draws = np.stack([around(value, of_layer, n_groups) for value, of_layer in pairs], axis=1)
        return cls(tuple(names), values, draws, n_groups, n)

    @property
    def peak(self) -> int:
        """The number of the layer with the largest."""
        return int(np.nanargmax(self.values))

    @property
    def minimum(self) -> int | None:
        """The number of the layer with the least after the peak; None if nothing follows the peak."""
        after = self.values[self.peak + 1 :]
        return self.peak + 1 + int(np.nanargmin(after)) if len(after) and np.isfinite(after).any() else None

    def less(self, one: int, other: int) -> Uncertain:
        """One layer less another."""
        return self.uncertain(self.values[one] - self.values[other], self.draws[:, one] - self.draws[:, other])

    def means_less(self, some: Sequence[int], others: Sequence[int]) -> Uncertain:
        """The mean of some layers less that of others."""
        value, draws = (
            of[..., list(some)].mean(-1) - of[..., list(others)].mean(-1) for of in (self.values, self.draws)
        )
        return self.uncertain(float(value), draws)

    def most_over(self, base: np.ndarray | float, base_draws: np.ndarray) -> Uncertain:
        """The largest layer less something else of the same documents, corrected for being chosen by the same numbers."""
        draws = self.draws - base_draws.reshape(len(self.draws), -1)
        return chosen_of_draws(self.values - base, draws, "most", self.n_groups, self.n)[1]

    def over(self, place: int) -> Uncertain:
        """The largest layer less this one."""
        return self.most_over(self.values[place], self.draws[:, place])

    def uncertain(self, value: float, draws: np.ndarray) -> Uncertain:
        """Something made of it, and of each of its draws."""
        return of_draws(float(value), draws, self.n_groups, self.n)


def profile(findings: Findings, experiment: str, kind: str, which: str, stack: str) -> Profile:
    """A number of each layer of a stack.

    Args:
        findings: of the model, or of a control.
        experiment: which.
        kind: of points.
        which: "dimension", "labelled" or "near"; of the last a stack's last layer is left out.
        stack: of an encoder-decoder, else "".
    """
    found = geometry(findings, experiment)
    places = found.stacks(kind)[stack]
    places = places[:-1] if which == "near" else places
    arrays = Results(findings.folder, findings.header).load_arrays(experiment)
    values, halves = arrays[f"{kind} {which}"][places], arrays[f"{kind} {which} halves"][places]
    if which == "dimension":
        values, halves = values[:, found.at], halves[:, :, found.at]
    names = [found.clouds[kind][place].layer for place in places]
    return Profile.of(values, halves, names, found.n_groups, found.n_points)


def blind_draws(findings: Findings) -> np.ndarray:
    """What halves of the documents say of labels by words alone, about the value of all."""
    found = geometry(findings)
    halves = Results(findings.folder, findings.header).load_arrays(TEXT)["blind halves"]
    return around(found.blind.value, halves, found.n_groups)


def line_rows_of(found: Geometry, kind: str, which: str, series: str) -> list[Row]:
    """Rows of a chart of lines; layers count within their stack."""
    several = len(found.stacks(kind)) > 1
    return [
        {"layer": number, "name": cloud.layer, "series": f"{series}, {stack}" if several else series}
        | plain(getattr(cloud, which))
        for stack, places in found.stacks(kind).items()
        for number, cloud in enumerate(found.clouds[kind][place] for place in places)
        if not np.isnan(getattr(cloud, which).value)
    ]


def with_controls(findings: Findings, experiment: str, kind: str, which: str) -> list[Row]:
    """The same rows of every control."""
    return [
        row
        for name, one in findings.controls.items()
        if experiment in one.values
        for row in line_rows_of(geometry(one, experiment), kind, which, f"{name} model")
    ]


def titled(stack: str, statement: str, several: bool) -> str:
    """A statement of one of several stacks says of which."""
    names = {"enc": "the encoder", "dec": "the decoder"}
    return f"{statement} ({names.get(stack, stack)})" if several else statement


def told(found: Uncertain, unit: str = "dimensions") -> str:
    """A number with its interval."""
    low, high = found.interval()
    ends = "" if np.isnan(low) else f" ({low:+.2f} to {high:+.2f})"
    return f"{found.value:+.2f} {unit}{ends}"
