"""Cells that are for a few tokens, or against a few: Gurnee et al. 2024, by the shape of their scores."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.intervals import Estimate, Sums, numbered, proportion
from ffmem.analyses.updates.readout import stream_values
from ffmem.analyses.updates.weights import PEAKED, Geometry
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import interval, line_rows, means_of_thirds, points, share, upper_less_lower
from ffmem.studies.geva2022.context import Geva2022, as_tensor
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "value-shapes"
_FOR_EACH = 4
"""Cells of a layer that are looked at, for each whose top tokens are."""


@dataclass(frozen=True)
class LayerShapes:
    """One layer."""

    layer: str
    predict: Estimate
    """Share of cells whose value is for a few tokens."""
    suppress: Estimate
    """Share whose value is against a few."""
    either: Estimate
    kurtosis: float
    """Median."""


@dataclass(frozen=True)
class ShapesResult:
    """Values by the shape of their scores; each cell's lie beside it as arrays."""

    gated: bool
    n_cells: int
    layers: tuple[LayerShapes, ...]


def _run(study: Geva2022, listen: StageListener) -> ShapesResult:
    geometry, names, layers, parts = Geometry(study.readout), study.layer_names(), [], []
    for layer, name in enumerate(names):
        rng = np.random.default_rng([study.options.seed, 28, layer])
        with torch.inference_mode():
            values = stream_values(study.model, layer)
            some = np.sort(rng.permutation(len(values))[: _FOR_EACH * study.options.update_cells])
            shapes = geometry.shapes(values[as_tensor(some, study.model)])
        predict, suppress, n = shapes.predict, shapes.suppress, len(some)
        shares = [proportion(int(one.sum()), n) for one in (predict, suppress, predict | suppress)]
        layers.append(LayerShapes(name, shares[0], shares[1], shares[2], float(np.median(shapes.kurtosis))))
        parts.append(np.stack([np.full(n, layer), predict, suppress], 1))
        listen(Stage(EXPERIMENT, layer + 1, len(names)))
    table = np.concatenate(parts).astype(np.int64)
    study.results.save_arrays(EXPERIMENT, {"layer": table[:, 0], "predict": table[:, 1], "suppress": table[:, 2]})
    return ShapesResult(study.model.facts.gated, len(table), tuple(layers))


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> ShapesResult:
    return findings.get(EXPERIMENT, ShapesResult)


def _peaked(findings: Findings) -> Sums:
    """Cells for or against a few tokens, of all: a column for each layer; cells are what is drawn."""
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    own = arrays["layer"][:, None] == np.arange(len(_found(findings).layers))
    peaked = (arrays["predict"] | arrays["suppress"])[:, None]
    return Sums.of(np.where(own, peaked, np.nan), *numbered(np.arange(len(own))))


def _reading(findings: Findings) -> str:
    found = _found(findings)
    most = max(found.layers, key=lambda layer: layer.either.value)
    low, high = (one.value for one in means_of_thirds(_peaked(findings)))
    where = f"; most in {most.layer}, {share(most.either.value)}" if most.either.value > 0 else ""
    return (
        f"For or against a few tokens are {share(low)} of the values in the lowest third of the layers, and {share(high)} in "
        f"the highest{where}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"{found.n_cells:,} cells of {len(found.layers)} layers; intervals by drawing cells"


def _numbers(findings: Findings) -> Iterator[Number]:
    found, last = _found(findings), _found(findings).layers[-1]
    low, high = means_of_thirds(_peaked(findings))
    yield Number.of("values for or against a few tokens, lowest third of the layers", "-", low.estimate)
    yield Number.of("values for or against a few tokens, highest third", "-", high.estimate)
    if not found.gated:
        yield Number.of("values for a few tokens, highest layer", "-", last.predict)
        yield Number.of("values against a few tokens, highest layer", "-", last.suppress)


def _claims(findings: Findings) -> Iterator[Claim]:
    peaked = _peaked(findings)
    (low, high), more = means_of_thirds(peaked), upper_less_lower(peaked)
    yield Claim(
        "values for or against a few tokens are in upper layers",
        above(more),
        f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less the "
        f"first: {points(more)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _found(findings)
    series = (
        {"for or against a few tokens": lambda layer: layer.either}
        if found.gated
        else {"for a few tokens": lambda layer: layer.predict, "against a few": lambda layer: layer.suppress}
    )
    rows = line_rows(found.layers, series)
    yield Chart(
        "value-shapes", f"Values whose cosines with tokens have a kurtosis above {PEAKED:g}.", "lines", rows, "cells"
    )


CHAPTER = Chapter(
    order=2.5,
    experiments=lambda _: [Experiment(EXPERIMENT, ShapesResult, _run)],
    results={EXPERIMENT: ShapesResult},
    exhibits=(
        Exhibit(
            order=7,
            name="Prediction and suppression",
            title="Values for a few tokens, or against a few",
            question="In which layers do values single out a few tokens?",
            definition=f"""
The cosines of a value with U'_w of all tokens w. A value singles tokens out if their kurtosis is above {PEAKED:g} (a normal
distribution has 3): for a few tokens if they have a long upper tail (skew above 0), against a few if a long lower one. Of gated
cells the sign of the coefficient decides which of the two a value is, so that both are one.""",
            conclude="""
It is said of weights alone: a value that singles tokens out need not be used, and lower layers' values reach the vocabulary
through all layers after them.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
