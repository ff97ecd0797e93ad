"""How many memories a position uses."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, mean_ratio, proportion, ratios
from ffmem.analyses.softmax_memories import Use, check_comparable, measure_use, n_heads
from ffmem.ids import CellSpace
from ffmem.models.transformer import Transformer
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.geva2021.layers import average, line_rows
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.sukhbaatar2019.context import Sukhbaatar2019
from ffmem.studies.sukhbaatar2019.shown import BESIDE, OWN, mean_of, sums_of, told, use_of
from ffmem.studies.verdicts import below

OF_OWN, OF_BESIDE = "use", "use-beside"
_FEW = 0.5
"""Of the memories of a head: if fewer are effective, they are not all used alike."""


@dataclass(frozen=True)
class LayerUse:
    """One layer."""

    layer: str
    n_cells: int
    active: Estimate
    effective: Estimate
    mass: Estimate
    never: Estimate
    """Cells that had more than their even share at no position; of ReLU cells, not told."""


@dataclass(frozen=True)
class UseResult:
    """What was measured of all layers; what was measured at each position lies beside it as arrays."""

    n_positions: int
    n_documents: int
    longest_context: int
    n_heads: int
    """That share out a layer's memories among themselves; of ReLU cells 0."""
    layers: tuple[LayerUse, ...]


def _own(study: Sukhbaatar2019, listen: StageListener) -> UseResult:
    return _run(study, study.model, study.index.cells, OF_OWN, listen)


def _beside(study: Sukhbaatar2019, listen: StageListener) -> UseResult:
    assert study.beside is not None
    return _run(study, study.model_beside(), study.beside.cells, OF_BESIDE, listen)


def _run(study: Sukhbaatar2019, model: Transformer, cells: CellSpace, name: str, listen: StageListener) -> UseResult:
    check_comparable(model)
    found = measure_use(
        model, study.positions, bos=study.bos, on_pass=lambda done, total: listen(Stage(name, done, total))
    )
    study.results.save_arrays(name, asdict(found))
    active, effective, mass = (
        ratios(sums_of(values, found.document)) for values in (found.active, found.effective, found.mass)
    )
    layers = tuple(
        LayerUse(layer.name, layer.n_cells, active[i], effective[i], mass[i], _never(found, i, layer.n_cells))
        for i, layer in enumerate(cells.layers)
    )
    return UseResult(
        len(found.document), len(np.unique(found.document)), int(found.context.max()), n_heads(model), layers
    )


def _never(found: Use, place: int, n_cells: int) -> Estimate:
    highest = found.highest[place, :n_cells]
    return proportion(int((highest <= 1).sum()) if highest.any() else 0, n_cells if highest.any() else 0)


def result(findings: Findings, experiment: str = OF_OWN) -> UseResult:
    """What was measured."""
    return findings.get(experiment, UseResult)


def _of(findings: Findings) -> dict[str, UseResult]:
    """Both models, where there is one beside."""
    there = {OWN: OF_OWN, BESIDE: OF_BESIDE}
    return {title: result(findings, name) for title, name in there.items() if name in findings.values}


def _experiments(study: Sukhbaatar2019) -> Iterable[Experiment[Sukhbaatar2019]]:
    yield Experiment(OF_OWN, UseResult, _own)
    if study.beside is not None and not study.is_control:
        yield Experiment(OF_BESIDE, UseResult, _beside)


def _reading(findings: Findings) -> str:
    told_of = [
        f"of {title}, {percent(average(one.active.value for one in found.layers))} % are active at a position, and "
        f"{percent(average(one.effective.value for one in found.layers))} % are effective"
        for title, found in _of(findings).items()
    ]
    return f"In the mean of layers, {'; '.join(told_of)}."


def _sample(findings: Findings) -> str:
    found = result(findings)
    return (
        f"{found.n_positions:,} positions of held-out sentences of {found.n_documents:,} documents, all layers; at most "
        f"{found.longest_context} tokens of context; intervals by drawing documents, of shares of cells Wilson's"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for title, name in ((OWN, OF_OWN), (BESIDE, OF_BESIDE)):
        if name in findings.values:
            use = use_of(findings, name)
            yield Number.of(f"active at a position, {title}", "-", mean_of(use.active, use.document).estimate)
            yield Number.of(f"effective at a position, {title}", "-", mean_of(use.effective, use.document).estimate)
    for one in result(findings).layers:
        yield Number.of(f"{one.layer}: memories that never have more than their even share", "-", one.never)


def _claims(findings: Findings) -> Iterator[Claim]:
    use = use_of(findings, OF_OWN)
    found = mean_of(use.effective, use.document)
    yield Claim(
        f"a head does not use its memories alike: fewer than {100 * _FEW:.0f} % of them are effective at a position",
        below(found, _FEW),
        f"{told(found, '')} of a head's memories, mean of layers and heads",
    )
    if OF_BESIDE in findings.values:
        # which cells are active is said by another limit for each kind: no claim compares them
        other = use_of(findings, OF_BESIDE)
        less = mean_ratio(*(sums_of(one.effective, use.document) for one in (use, other)))
        yield Claim(
            "a smaller share of softmax memories than of ReLU cells is effective at a position, in these two models",
            below(less),
            f"{told(less, '')} of the cells, mean of layers, at the same positions",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    for quantity, caption in (
        ("active", "Cells that are active at a position, as a share of their layer."),
        (
            "effective",
            "Effective cells at a position, as a share: of the memories of a head, or of a layer of ReLU cells.",
        ),
    ):
        rows = [
            row
            for title, found in _of(findings).items()
            for row in line_rows(found.layers, {title: lambda one, name=quantity: getattr(one, name)})  # type: ignore[misc]
        ]
        yield Chart(f"softmax-{quantity}", caption, "lines", rows, f"{quantity}, share of cells")


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "layer": one.layer,
            "kind": title,
            "cells": one.n_cells,
            "active": plain(one.active.value),
            "effective": plain(one.effective.value),
            "weight of memories": plain(one.mass.value),
            "never above even": plain(one.never.value),
        }
        for title, found in _of(findings).items()
        for one in found.layers
    ]
    yield Table("softmax-use", "Use of cells by layer, as shares", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=1,
    experiments=_experiments,
    results={OF_OWN: UseResult, OF_BESIDE: UseResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Addition",
            title="How many memories does a position use?",
            question="No weight of a softmax is 0. Are memories then used more alike than ReLU cells are?",
            definition="""
A memory is active at a position where m > 1 / (n + N): more than its even share of a softmax over n tokens of context
and N memories; a ReLU cell where m > 0. Effective are exp(entropy) cells, of the shares m / sum of m among the memories
of a head, or among the cells of a layer. Nothing is dead among memories; told instead is how many never had more than
their even share.""",
            conclude="""
How concentrated coefficients are, not how useful cells are: a cell with a small weight may have a long value. Active
shares of the two kinds are by different limits, and stand beside each other for orientation; effective cells are by one
measure.""",
            applies=lambda findings: OF_OWN in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
