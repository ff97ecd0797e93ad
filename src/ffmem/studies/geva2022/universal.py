"""Which cells another checkpoint or seed of the same kind of model has, too: Gurnee et al. 2024."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.intervals import Estimate, Sums, each_ratio, numbered, proportion
from ffmem.analyses.updates.universal import UNIVERSAL, Counterparts, coefficients_of, counterparts, same_tokens
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, share
from ffmem.studies.geva2022.context import Geva2022
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import below

EXPERIMENT = "universal"
_FEW = 0.05
"""What "few" is in the claim: the paper's shares are below it."""
_N_SHOWN = 50
"""Cells with a counterpart that a table has."""


@dataclass(frozen=True)
class LayerUniversal:
    """One layer of the model."""

    layer: str
    universal: Estimate
    """Share of cells whose best correlation exceeds that with random directions by more than `UNIVERSAL`."""
    best: float
    """Median of the best correlation with a cell of the other model."""
    random: float
    """Median of the best correlation with a random combination of cells of one of its layers."""


@dataclass(frozen=True)
class Match:
    """A cell, and the one that is most like it in the other model."""

    cell: str
    other: str
    correlation: float
    random: float


@dataclass(frozen=True)
class UniversalResult:
    """Cells that were looked for in another model."""

    other: str
    """Its name."""
    other_sha256: str
    """Of its weights."""
    n_positions: int
    n_cells: int
    universal: Estimate
    layers: tuple[LayerUniversal, ...]
    matches: tuple[Match, ...]


def _run(study: Geva2022, listen: StageListener) -> UniversalResult:
    other, model, seed = study.other, study.model, study.options.seed
    same_tokens(model, other)
    cells = [
        np.sort(np.random.default_rng([seed, 29, place]).permutation(layer.n_cells)[: study.options.universal_cells])
        for place, layer in enumerate(model.facts.layers)
    ]
    own = coefficients_of(model, study.positions, cells, bos=study.bos)
    theirs = coefficients_of(other, study.positions, None, bos=study.bos)
    with torch.inference_mode():
        found = counterparts(
            own,
            cells,
            theirs,
            signs=model.facts.gated,
            seed=seed,
            on_layer=lambda done, n: listen(Stage(EXPERIMENT, done, n)),
        )
    hits = [one.excess > UNIVERSAL for one in found]
    arrays = {"layer": np.repeat(np.arange(len(hits)), [len(one) for one in hits]), "universal": np.concatenate(hits)}
    study.results.save_arrays(EXPERIMENT, arrays)
    names, others = study.layer_names(), [layer.name for layer in other.facts.layers]
    matches = [match for name, one in zip(names, found, strict=True) for match in _matches(name, one, others)]
    return UniversalResult(
        other=other.facts.name,
        other_sha256=other.weights_hash(),
        n_positions=len(study.positions),
        n_cells=len(arrays["layer"]),
        universal=proportion(int(arrays["universal"].sum()), len(arrays["universal"])),
        layers=tuple(
            LayerUniversal(
                name, proportion(int(hit.sum()), len(hit)), float(np.median(one.best)), float(np.median(one.random))
            )
            for name, hit, one in zip(names, hits, found, strict=True)
        ),
        matches=tuple(sorted(matches, key=lambda one: one.random - one.correlation)[:_N_SHOWN]),
    )


def _matches(name: str, found: Counterparts, others: list[str]) -> Iterator[Match]:
    for place in np.flatnonzero(found.excess > UNIVERSAL).tolist():
        yield Match(
            f"{name}.{found.cells[place]}",
            f"{others[found.best_layer[place]]}.{found.best_cell[place]}",
            float(found.best[place]),
            float(found.random[place]),
        )


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> UniversalResult:
    return findings.get(EXPERIMENT, UniversalResult)


def _reading(findings: Findings) -> str:
    found = _found(findings)
    most = max(found.layers, key=lambda layer: layer.universal.value)
    return (
        f"{share(found.universal.value)} of the cells have a counterpart in {found.other}; most in {most.layer}, "
        f"{share(most.universal.value)}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"{found.n_cells:,} cells at {found.n_positions:,} held-out positions, against all cells of {found.other}"


def _numbers(findings: Findings) -> Iterator[Number]:
    papers = "GPT-2 small 4.16 %, medium 1.23 %, Pythia-160M 1.26 %"
    yield Number.of("cells with a counterpart in the other model", papers, _found(findings).universal)


def _claims(findings: Findings) -> Iterator[Claim]:
    universal = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)["universal"]
    (found,) = each_ratio(Sums.of(universal, *numbered(np.arange(len(universal)))))
    yield Claim(
        "few cells are universal: less than 5 % have a counterpart",
        below(found, _FEW),
        f"cells with a counterpart: {interval(_found(findings).universal)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    layers = _found(findings).layers
    rows = line_rows(layers, {"cells with a counterpart": lambda layer: layer.universal})
    yield Chart("universal", "Cells that the other model has, too.", "lines", rows, "cells")
    rows = line_rows(
        layers,
        {"with a cell of it": lambda layer: layer.best, "with a random combination": lambda layer: layer.random},
    )
    yield Chart(
        "best-correlations",
        "The best correlation of a cell with the other model: median of the layer.",
        "lines",
        rows,
        "correlation",
        percent=False,
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "cell": one.cell,
            "in the other model": one.other,
            "correlation": round(one.correlation, 3),
            "with random combinations": round(one.random, 3),
        }
        for one in _found(findings).matches
    ]
    if rows:
        yield Table(
            "counterparts", "Cells that stand out most by their counterparts", tuple(rows[0]), rows, folded=True
        )


CHAPTER = Chapter(
    order=5,
    experiments=lambda study: (
        [Experiment(EXPERIMENT, UniversalResult, _run)] if study.options.other and not study.is_control else []
    ),
    results={EXPERIMENT: UniversalResult},
    exhibits=(
        Exhibit(
            order=8,
            name="Universal cells",
            title="Cells that another model has, too",
            question="Which cells have a counterpart in another checkpoint or seed of the same kind of model?",
            definition=f"""
The correlation of a cell's coefficients with those of each cell of the other model, over the same positions; the largest, less
the largest with as many random combinations of the cells of each of its layers. A cell is universal if that is above
{UNIVERSAL:g}. Of gated cells correlations below 0 count, too: the sign of a coefficient is a convention.""",
            conclude="""
A counterpart fires alike on this text; whether it writes alike is not said. Another checkpoint of the same training shares its
beginning with this one, so that more is shared than by another seed.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
