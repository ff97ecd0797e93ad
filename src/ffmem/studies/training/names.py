"""When cells get the names that they keep, where the indexes of the moments have names."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.through_training.settling import NEVER, settled, share_settled
from ffmem.ids import CellId
from ffmem.store.reader import Index
from ffmem.studies.exhibit import Chart, Exhibit, Number
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import (
    Course,
    Units,
    arrays_of,
    at_end,
    chart,
    courses,
    mean_of,
    median_moment,
    units_in,
    when,
)

EXPERIMENT = "names"


@dataclass(frozen=True)
class NamesResult:
    """Names through training."""

    named: tuple[Course, ...]
    """Share of cells with a name that is no guess."""
    as_last: tuple[Course, ...]
    """Of those named at the last moment, the share with the same name."""
    n_named: tuple[int, ...]
    """Cells with a name at each moment."""


def has_names(index: Index) -> bool:
    """Whether any cell of an index has a name that is no guess."""
    return next(index.names.all_names(), None) is not None


def names_of(index: Index) -> dict[CellId, str]:
    """The name of each cell that has one that is no guess: of gated cells, of its first sign with one."""
    found: dict[CellId, str] = {}
    for cell, _, name in index.names.all_names():
        found.setdefault(cell, name.text)
    return found


def _names(study: Training, moment: int) -> list[str | None]:
    index = study.moments[moment].index
    by_cell = names_of(index)
    return [
        by_cell.get(index.cells.cell_id(place, row))
        for place in study.places
        for row in study.order(moment, place).tolist()
    ]


def _run(study: Training, _: StageListener) -> NamesResult:
    tables = [_names(study, number) for number in range(len(study.moments))]
    named = np.array([[name is not None for name in one] for one in tables])
    same = np.array(
        [[name is not None and name == end for name, end in zip(one, tables[-1], strict=True)] for one in tables]
    )
    units = Units(study.layer_of, study.document_of, tuple(study.layer_names()))
    arrays = {"named": named, "same": same, "layer": study.layer_of, "document": study.document_of}
    study.results.save_arrays(EXPERIMENT, arrays)
    as_last = np.where(named[-1], same.astype(np.float64), np.nan)
    found = courses({"named": named.astype(np.float64), "as_last": as_last}, units)
    return NamesResult(found["named"], found["as_last"], tuple(int(one) for one in named.sum(1)))


def settled_names(findings: Findings) -> np.ndarray:
    """The moment from which on each cell has the name of the last moment; -1 for one that has none there."""
    return settled(arrays_of(findings, EXPERIMENT)["same"].astype(bool))


def settled_share(findings: Findings) -> tuple[Course, ...]:
    """The share of each layer's cells that have their name for good by each moment, of those named at the last."""
    at, arrays = settled_names(findings), arrays_of(findings, EXPERIMENT)
    by = share_settled(at, len(arrays["same"])).astype(np.float64).T
    by[:, at == NEVER] = np.nan
    return courses({"names": by}, units_in(findings, arrays))["names"]


def applies(findings: Findings) -> bool:
    """Whether the moments have names."""
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> NamesResult:
    return findings.get(EXPERIMENT, NamesResult)


def _reading(findings: Findings) -> str:
    found, moment = _found(findings), median_moment(settled_names(findings))
    told = "" if moment != moment else f" Half of these names are there for good by {when(findings, moment)}."
    return f"{share(at_end(found.named))} of the cells have a name at the last moment.{told}"


def _sample(findings: Findings) -> str:
    counts = ", ".join(f"{one:,}" for one in _found(findings).n_named)
    return f"cells with a name that is no guess, moment by moment: {counts}; each index was named by itself"


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays = arrays_of(findings, EXPERIMENT)
    units = units_in(findings, arrays)
    end = arrays["named"][-1].astype(bool)
    for quantity, moment in (("first", 0), ("moment before the last", -2)):
        same = np.where(end, arrays["same"][moment].astype(np.float64), np.nan)
        told = "at the first moment" if quantity == "first" else "at the moment before the last"
        yield Number.of(f"cells named at the last that have that name {told}", "-", mean_of(same, units).estimate)


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _found(findings)
    yield chart(
        findings,
        "names-through-training",
        "Cells with a name, and with the name of the last moment, by layer through training.",
        {"cells with a name": found.named, "of those named at the end, with that name": found.as_last},
        "cells",
    )


CHAPTER: Chapter[Training] = Chapter(
    order=3,
    experiments=lambda study: [Experiment(EXPERIMENT, NamesResult, _run)] if has_names(study.index) else [],
    results={EXPERIMENT: NamesResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Names",
            title="When names appear and settle",
            question="From which moment on is a cell called what it is called at the end?",
            definition="""
Names that are no guesses, as each index has them: `ffmem names INDEX` at each moment. A name is the same if its text is.
Settled: the first moment from which on a cell has the name of the last.""",
            conclude="""
Two names may differ in words and mean much the same, so that a name settles no earlier than what it tells of. A moment
without names of its own counts as one at which no cell has its name.""",
            applies=applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            charts=_charts,
        ),
    ),
)
