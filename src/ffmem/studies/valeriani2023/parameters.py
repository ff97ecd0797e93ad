"""Keys and values as points, one for each cell."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.intervals import Uncertain
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import points
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment
from ffmem.studies.valeriani2023.findings import CELLS, Geometry, geometry, line_rows_of, profile, with_controls
from ffmem.studies.valeriani2023.measuring import measure_cells
from ffmem.studies.verdicts import above


def _reading(findings: Findings) -> str:
    found = geometry(findings, CELLS)
    ranges = [
        f"{kind} {min(values):.1f} to {max(values):.1f}"
        for kind, some in found.clouds.items()
        if (values := [one.dimension.value for one in some])
    ]
    return f"Dimensions of the clouds of cells, over layers (n = {found.order}): {'; '.join(ranges)}."


def _sample(findings: Findings) -> str:
    found = geometry(findings, CELLS)
    return f"{found.n_points:,} cells of each layer; intervals by halves of the cells"


def _mean(findings: Findings, kind: str, which: str) -> Uncertain:
    """Of all layers; each has cells of its own, so that errors of layers are independent."""
    found = geometry(findings, CELLS)
    parts = [
        one.uncertain(one.values[place], one.draws[:, place])
        for stack, places in found.stacks(kind).items()
        for one in [profile(findings, CELLS, kind, which, stack)]
        for place in range(len(one.names))
        if len(places)
    ]
    errors = np.array([one.error for one in parts])
    error = float(np.sqrt((errors**2).sum()) / len(parts))
    return Uncertain(float(np.mean([one.value for one in parts])), error, found.n_groups, found.n_points)


def _numbers(findings: Findings) -> Iterator[Number]:
    found = geometry(findings, CELLS)
    for kind in found.clouds:
        yield Number.of(f"dimension of {kind}, mean of layers", "-", _mean(findings, kind, "dimension").estimate, "")
    for kind in _keys(found):
        yield Number.of(f"cells near by {kind} that are near by values", "-", _shared(findings, kind).estimate)
    yield Number("cells near by both, by chance", "-", found.k / (found.n_points - 1))


def _keys(found: Geometry) -> list[str]:
    return [kind for kind in found.clouds if kind != "values"]


def _shared(findings: Findings, kind: str) -> Uncertain:
    """chi_k of keys and values, mean of layers."""
    found = geometry(findings, CELLS)
    layers = found.clouds[kind]
    errors = np.array([(one.near.high - one.near.low) / 2 / 1.96 for one in layers])
    error = float(np.sqrt((errors**2).sum()) / len(layers))
    return Uncertain(float(np.mean([one.near.value for one in layers])), error, found.n_groups, found.n_points)


def _claims(findings: Findings) -> Iterator[Claim]:
    found = geometry(findings, CELLS)
    for kind in _keys(found):
        shared = _shared(findings, kind)
        chance = found.k / (found.n_points - 1)
        yield Claim(
            f"cells whose {kind} are near each other have values that are near each other, more than by chance",
            above(shared, limit=chance),
            f"of {found.k} neighbours by {kind}, those that are neighbours by values, less chance: "
            f"{points(Uncertain(shared.value - chance, shared.error, shared.n_groups, shared.n))}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = geometry(findings, CELLS)
    rows = [row for kind in found.clouds for row in line_rows_of(found, kind, "dimension", kind)]
    controls = {name: one for name, one in findings.controls.items() if name == "untrained" and CELLS in one.values}
    for name, one in controls.items():
        other = geometry(one, CELLS)
        rows += [row for kind in other.clouds for row in line_rows_of(other, kind, "dimension", f"{kind}, {name}")]
    caption = f"Dimension of the keys and values of each layer, a point for each cell (GRIDE, n = {found.order})."
    yield Chart("cells", caption, "lines", rows, "dimensions", percent=False)
    shared = [row for kind in _keys(found) for row in line_rows_of(found, kind, "near", kind)]
    shared += [row for kind in _keys(found) for row in with_controls(findings, CELLS, kind, "near")]
    caption = f"Share of the {found.k} nearest cells by their keys that are so by their values, too."
    yield Chart("keys-and-values", caption, "lines", shared, "cells near by both")


CHAPTER = Chapter(
    order=5,
    experiments=lambda _: [Experiment(CELLS, Geometry, measure_cells)],
    results={CELLS: Geometry},
    exhibits=(
        Exhibit(
            order=5,
            name="Cells",
            title="What shape have the clouds of keys and values?",
            question="Do the cells of a layer fill their space, and are cells with like keys cells with like values?",
            definition="""
Each cell is a point by its key (of gated cells by both keys) and by its value, as the weights are; dimension as above, at one
scale for all layers. chi_k of keys and values: the share of a cell's k nearest by keys that are among its k nearest by
values.""",
            conclude="""
Whether weights have structure that random ones of the same size have not. Random weights fill d_model dimensions, of which so
few points tell far fewer: what counts is the distance from the untrained model.""",
            applies=lambda findings: CELLS in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
