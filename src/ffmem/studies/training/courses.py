"""What the chapters share: a number of each layer at each moment, its picture, and how it is told."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.intervals import NOTHING, Estimate, Sums, Uncertain, mean_ratio, numbered, ratios
from ffmem.analyses.through_training.settling import NEVER
from ffmem.studies.exhibit import Chart
from ffmem.studies.results import Findings, Results, plain

Values = Float[np.ndarray, "moments units"]
"""A number of each cell (of gated ones, perhaps, of each sign) at each moment; NaN where there is none."""


@dataclass(frozen=True)
class Course:
    """A number of one layer through training."""

    layer: str
    values: tuple[Estimate, ...]
    """At each moment."""


@dataclass(frozen=True)
class Units:
    """Where each unit belongs."""

    layer: Int64[np.ndarray, "units"]
    group: Int64[np.ndarray, "units"]
    """Units of a group are drawn together: the document that stands behind a cell."""
    names: tuple[str, ...]
    """Of the layers."""

    def rows(self) -> Iterator[tuple[str, np.ndarray]]:
        """The units of each layer."""
        for number, name in enumerate(self.names):
            yield name, np.flatnonzero(self.layer == number)


def courses(series: Mapping[str, Values], units: Units) -> dict[str, tuple[Course, ...]]:
    """The mean of each layer at each moment, for several numbers, with intervals by drawing groups of units anew."""
    found: dict[str, list[Course]] = {name: [] for name in series}
    n_moments = [len(values) for values in series.values()]
    for layer, rows in units.rows():
        columns = np.concatenate([values[:, rows] for values in series.values()]).T
        estimates = ratios(Sums.of(columns, *numbered(units.group[rows]))) if len(rows) else []
        estimates = [one if one.n else NOTHING for one in estimates]
        starts = np.cumsum([0, *n_moments])
        for name, first, end in zip(series, starts, starts[1:], strict=False):
            found[name].append(Course(layer, tuple(estimates[first:end])))
    return {name: tuple(one) for name, one in found.items()}


def mean_of(values: Float[np.ndarray, "units"], units: Units) -> Uncertain:
    """The mean over layers of the mean of each layer's units."""
    return mean_ratio(by_layer(values, units))


def by_layer(values: Float[np.ndarray, "units"], units: Units) -> Sums:
    """The mean of each layer's units as a ratio of sums, a column for each layer, over the groups of units."""
    numbers, n_groups = numbered(units.group)
    shape = (n_groups, len(units.names))
    above, below = np.zeros(shape), np.zeros(shape)
    there = ~np.isnan(values)
    np.add.at(above, (numbers[there], units.layer[there]), values[there])
    np.add.at(below, (numbers[there], units.layer[there]), 1.0)
    return Sums(above, below)


def as_numbers(at: Int64[np.ndarray, "units"]) -> Float[np.ndarray, "units"]:
    """Moments as numbers; NaN for never."""
    found: np.ndarray = np.where(at == NEVER, np.nan, at.astype(np.float64))
    return found


def moments_in(findings: Findings) -> list[dict[str, Any]]:
    """The moments of a study: name, step, folder, weights."""
    found: list[dict[str, Any]] = findings.header["moments"]
    return found


def shape_of(findings: Findings) -> dict[str, Any]:
    """What is the same at all moments, and for the control, which has no index of its own: layers, cells, text, list length."""
    found: dict[str, Any] = findings.header["shape"]
    return found


def has_steps(findings: Findings) -> bool:
    """Whether the step of each moment is known."""
    return all(one["step"] is not None for one in moments_in(findings))


def times(findings: Findings) -> list[float]:
    """Where each moment lies on the axis of a picture: its step, or its number."""
    known = has_steps(findings)
    return [float(one["step"]) if known else float(number) for number, one in enumerate(moments_in(findings))]


def when(findings: Findings, moment: float) -> str:
    """A moment in words: what appears there did so since the moment before."""
    number = round(moment)
    names = [str(one["name"]) for one in moments_in(findings)]
    return names[0] if number == 0 else f"{names[number]} (after {names[number - 1]})"


def median_moment(at: Int64[np.ndarray, "units"]) -> float:
    """The median of moments, the larger of two; NaN if there is none."""
    some = np.sort(at[at != NEVER])
    return float(some[len(some) // 2]) if len(some) else float("nan")


def chart(
    findings: Findings,
    name: str,
    caption: str,
    series: Mapping[str, Sequence[Course]],
    y_title: str,
    *,
    percent: bool = True,
) -> Chart:
    """A picture of small multiples: a panel for each layer, a line for each series.

    Args:
        findings: of the study.
        name: of its files.
        caption: below it.
        series: a course for each layer.
        y_title: what the numbers are.
        percent: whether they are shares.
    """
    return Chart(
        name,
        caption,
        "courses",
        list(course_rows(times(findings), series)),
        y_title,
        x_title="step" if has_steps(findings) else "moment",
        percent=percent,
        order=tuple(series),
    )


def course_rows(at: Sequence[float], series: Mapping[str, Iterable[Course]]) -> Iterator[dict[str, Any]]:
    """The rows of such a picture; what there is no number of is left out. A course that is short has no first moments."""
    for title, layers in series.items():
        for course in layers:
            for time, value in zip(at[len(at) - len(course.values) :], course.values, strict=True):
                if value.value == value.value:
                    yield {"panel": course.layer, "middle": time, "series": title} | plain(value)


def arrays_of(findings: Findings, experiment: str) -> dict[str, np.ndarray]:
    """The arrays of an experiment."""
    return Results(findings.folder, findings.header).load_arrays(experiment)


def units_in(findings: Findings, arrays: Mapping[str, np.ndarray]) -> Units:
    """The units of an experiment: their layer and group stand among its arrays."""
    names = tuple(shape_of(findings)["layers"])
    return Units(arrays["layer"].astype(np.int64), arrays["document"].astype(np.int64), names)


def at_end(found: Sequence[Course], moment: int = -1) -> float:
    """The mean over layers at a moment, by default the last."""
    values = [course.values[moment].value for course in found]
    known = [one for one in values if one == one]
    return float(np.mean(known)) if known else float("nan")
