"""How many cells carry a layer's output at a position: the fewest that have 90 % of its energy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, mean_ratio, ratios
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import box_rows, interval, means_of_thirds, points, share, upper_less_lower
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.verdicts import above, opposite
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.context import Wild2024

EXPERIMENT = "energy"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class LayerEnergy:
    """One layer."""

    layer: str
    n_cells: int
    strongest: Estimate
    """Share of its cells that have 90 % of the energy, mean of all positions."""
    of_positions: tuple[float, ...]
    """Quantiles over positions, 5, 25, 50, 75 and 95 %."""


@dataclass(frozen=True)
class EnergyResult:
    """Layers; what each document adds lies beside it as arrays."""

    n_positions: int
    n_documents: int
    layers: tuple[LayerEnergy, ...]


def _run(study: Wild2024, listen: StageListener) -> EnergyResult:
    active, stretch = study.active(listen, EXPERIMENT), study.stretch
    _, document = np.unique(stretch.documents[stretch.sentence], return_inverse=True)
    shares = np.stack([one.n_strongest / one.n_cells for one in active], 1)
    sums = Sums.of(shares, document, int(document.max()) + 1)
    study.results.save_arrays(EXPERIMENT, {"above": sums.above, "below": sums.below})
    layers = [
        LayerEnergy(
            layer=study.layer_names()[place],
            n_cells=one.n_cells,
            strongest=estimate,
            of_positions=tuple(np.quantile(shares[:, place], _QUANTILES).tolist()),
        )
        for place, (one, estimate) in enumerate(zip(active, ratios(sums), strict=True))
    ]
    return EnergyResult(len(stretch), int(document.max()) + 1, tuple(layers))


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> EnergyResult:
    return findings.get(EXPERIMENT, EnergyResult)


def _sums(findings: Findings) -> Sums:
    arrays = arrays_of(findings, EXPERIMENT)
    return Sums(arrays["above"], arrays["below"])


def _reading(findings: Findings) -> str:
    low, high = (one.value for one in means_of_thirds(_sums(findings)))
    return (
        f"At a position, {share(low)} of the cells have 90 % of the energy in the lowest third of the layers, and "
        f"{share(high)} in the highest."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"{found.n_positions:,} positions of {found.n_documents:,} indexed documents; intervals by drawing documents"


def _numbers(findings: Findings) -> Iterator[Number]:
    sums = _sums(findings)
    low, high = means_of_thirds(sums)
    yield Number.of("cells with 90 % of the energy, mean of all layers", "-", mean_ratio(sums).estimate)
    yield Number.of("cells with 90 % of the energy, lowest third of the layers", "-", low.estimate)
    yield Number.of("cells with 90 % of the energy, highest third", "-", high.estimate)


def _claims(findings: Findings) -> Iterator[Claim]:
    sums = _sums(findings)
    if sums.above.shape[1] < 2:
        return
    (low, high), more = means_of_thirds(sums), upper_less_lower(sums)
    yield Claim(
        "deeper layers are sparser: fewer of their cells have 90 % of the energy",
        opposite(above(more)),
        f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less the "
        f"first: {points(more)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(_found(findings).layers, lambda one: one.of_positions)
    yield Chart(
        "energy", "The fewest cells that have 90 % of the energy of a position.", "boxes", rows, "cells of the layer"
    )


CHAPTER = Chapter(
    order=5,
    experiments=lambda _: [Experiment(EXPERIMENT, EnergyResult, _run)],
    results={EXPERIMENT: EnergyResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Energy",
            title="How few cells carry a layer's output",
            question="At a position, how many cells have nearly all of what the layer adds?",
            definition="""
The energy of a cell at a position is m squared times the length of its value squared; the fewest cells that have 90 % of the
sum over the layer are counted, as a share of its cells. It asks no coefficient to be 0, so that models with and without a
ReLU can be set beside each other.""",
            conclude="""
Energies add up only where values are orthogonal: cells that cancel each other have energy, and add nothing. What has little
energy may still matter. Boxes hold 25 to 75 % of the positions, whiskers 5 to 95 %.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
