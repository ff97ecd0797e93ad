"""Every cell's course through training, as a table."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.through_training.settling import NEVER
from ffmem.studies.exhibit import Exhibit, Table
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.training import agreement, drift, lists, lives, names
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import arrays_of, moments_in, shape_of


def _applies(findings: Findings) -> bool:
    there = all(name in findings.values for name in (lists.EXPERIMENT, lives.EXPERIMENT, drift.EXPERIMENT))
    return there and shape_of(findings)["control"] is None


def _columns(findings: Findings) -> dict[str, list[object]]:
    told = [str(one["name"]) for one in moments_in(findings)]

    def moments(at: np.ndarray) -> list[object]:
        return [None if number == NEVER else told[number] for number in at.tolist()]

    arrays, of_lives, of_drift = (
        arrays_of(findings, name) for name in (lists.EXPERIMENT, lives.EXPERIMENT, drift.EXPERIMENT)
    )
    found: dict[str, list[object]] = {"triggers settle at": moments(lists.settled_triggers(findings))}
    if agreement.EXPERIMENT in findings.values:
        at = agreement.settled_agreement(findings).reshape(len(found["triggers settle at"]), -1)
        first = np.where((at == NEVER).all(1), NEVER, np.where(at == NEVER, at.max(initial=0) + 1, at).min(1))
        found["agreement settles at"] = moments(first)
    if names.applies(findings):
        found["name settles at"] = moments(names.settled_names(findings))
    off, alive = of_lives["off"].astype(bool), of_lives["alive"].astype(bool)
    found["turns off at"] = moments(np.where(off.any(0), off.argmax(0), NEVER))
    found["moments alive"] = alive.sum(0).tolist()
    found["overlap with the moment before"] = _rounded(arrays["to_previous"][-1])
    found["drift of its key"] = _rounded(of_drift["keys_to_last"][0])
    found["drift of its value"] = _rounded(of_drift["values_to_last"][0])
    return found


def _rounded(values: np.ndarray) -> list[object]:
    return [plain(round(float(one), 4)) for one in values]


def _tables(findings: Findings) -> Iterator[Table]:
    columns = _columns(findings)
    cells = [
        str(findings.index.cells.cell_id(place, row))
        for place, layer in enumerate(findings.index.cells.layers)
        for row in range(layer.n_cells)
    ]
    rows = [
        {"cell": cell} | dict(zip(columns, values, strict=True))
        for cell, *values in zip(cells, *columns.values(), strict=True)
    ]
    yield Table("cells-through-training", "Each cell through training", tuple(rows[0]), rows)


CHAPTER: Chapter[Training] = Chapter(
    order=10,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=7,
            name="Cells",
            title="Each cell through training",
            question="What did one cell go through?",
            definition="When each cell settles, how long it lives, how far it moves from the first moment to the last.",
            conclude="""
A list to look cells up in, and to pick them from. One cell's life, moment by moment with its triggers: ffmem trace INDEX...
--cell L3.17.""",
            applies=_applies,
            reading=lambda findings: f"{findings.index.n_cells:,} cells.",
            sample=lambda findings: "all cells; empty: never",
            tables=_tables,
        ),
    ),
)
