"""At which scale dimensions are told, and how much that decides."""

from collections.abc import Iterator

import numpy as np

from ffmem.studies.exhibit import Chart, Exhibit, Number, Row, Table, percent
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.valeriani2023.dimension import has_text, sample
from ffmem.studies.valeriani2023.findings import TEXT, geometry, profile

_SHOWN = 5
"""Layers with a line of their own."""
_FLAT = 0.1
"""A change of dimension between two scales that is called a plateau."""


def _reading(findings: Findings) -> str:
    found = geometry(findings)
    if len(found.orders) < 2:
        return f"There are {found.n_points:,} points, too few for more than one scale."
    verdict = "is a plateau" if found.change <= _FLAT else "is no plateau, only the flattest part"
    return (
        f"Dimensions change least between n = {found.order} and {found.orders[found.at + 1]}, by {percent(found.change)} % in "
        f"the median layer, which {verdict} (at most {percent(_FLAT)} %). Everything is told at n = {found.order}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = geometry(findings)
    for stack in found.stacks():
        one = profile(findings, TEXT, "o", "dimension", stack)
        place = found.stacks()[stack][one.peak]
        for order, value in zip(found.orders, found.clouds["o"][place].gride, strict=True):
            yield Number(f"dimension in {one.names[one.peak]}, n = {order}", "-", value, unit="")


def _charts(findings: Findings) -> Iterator[Chart]:
    found = geometry(findings)
    clouds = found.clouds["o"]
    chosen = np.unique(np.linspace(0, len(clouds) - 1, _SHOWN).round().astype(int)).tolist()
    rows: list[Row] = [
        {"middle": order, "from": order, "to": order, "series": clouds[place].layer, "value": plain(value),
         "low": plain(value), "high": plain(value), "n": found.n_points}
        for place in chosen
        for order, value in zip(found.orders, clouds[place].gride, strict=True)
    ]  # fmt: skip
    caption = "Dimension of o at every scale, by GRIDE: from fine to coarse."
    yield Chart("scales", caption, "points", rows, "dimensions", x_title="n of r_2n / r_n", percent=False)
    rows = [
        {"middle": found.n_points / divisor, "from": found.n_points // divisor, "to": found.n_points // divisor,
         "series": clouds[place].layer, "value": plain(value), "low": plain(value), "high": plain(value), "n": found.n_points}
        for place in chosen
        for divisor, value in zip(found.divisors, clouds[place].decimated, strict=True)
    ]  # fmt: skip
    caption = "Dimension of o by TwoNN, of N / 2^j points drawn at random: from coarse to fine."
    yield Chart("fewer-points", caption, "points", rows, "dimensions", x_title="points", percent=False)


def _tables(findings: Findings) -> Iterator[Table]:
    found = geometry(findings)
    rows = [
        {"points": kind, "layer": one.layer}
        | {f"GRIDE, n = {order}": plain(value) for order, value in zip(found.orders, one.gride, strict=True)}
        | {f"TwoNN, N / {part}": plain(value) for part, value in zip(found.divisors, one.decimated, strict=True)}
        for kind, some in found.clouds.items()
        for one in some
    ]
    yield Table("dimension-by-scale", "Dimension at every scale", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=4,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=4,
            name="Scales",
            title="At which scale?",
            question="Does the dimension depend on how far away the neighbours are that tell of it?",
            definition="""
GRIDE with n = 1, 2, 4, ...: the larger n, the farther the neighbours. TwoNN of N / 2^j points: the fewer points, the farther
they are. Where the dimension stays the same over some scales (a plateau), noise has no more part in it and curvature not yet.
One scale is taken for the profile of o as a whole: that from which the dimension changes least to the next, in the median
layer.""",
            conclude="""
How much of a number is the scale's. Where there is no plateau a dimension has no one value, and only what holds at every scale
is the model's.""",
            applies=has_text,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
