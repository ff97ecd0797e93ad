"""The Jacobian itself: made of some documents, and kept for all that is read through it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ffmem.analyses.lenses.jacobian import AverageJacobian, Reach, average_jacobian
from ffmem.studies.checkpoint import Checkpoint, part_of
from ffmem.studies.exhibit import Chart, Exhibit, Number
from ffmem.studies.gurnee2026.context import JACOBIAN, Gurnee2026, arrays_of, jacobian_of
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener

_SENTENCES = 8
"""Of a part, after which what is there is kept."""


@dataclass(frozen=True)
class LayerJacobian:
    """J of one layer; it is kept beside the result."""

    layer: str
    size: float
    """|J| / |I|."""
    away: float
    """|J - I| / |I|: 0 where the layers above do nothing to the state."""


@dataclass(frozen=True)
class JacobianResult:
    """What the Jacobian is made of."""

    n_positions: int
    n_documents: int
    reach: Reach
    layers: tuple[LayerJacobian, ...]


def _run(study: Gurnee2026, listen: StageListener) -> JacobianResult:
    parts, kept = study.parts, Checkpoint(study.results, JACOBIAN)
    before = kept.load()
    found: AverageJacobian | None = None if before is None else jacobian_of(before, study.model.device)
    done = 0 if before is None else int(before["done"][0])
    n = len(parts.fitted)
    while done < n:
        some = parts.fitted[done : done + _SENTENCES]
        if any(len(one) > 1 for one in some) or study.model.special_tokens(study.bos)[0]:
            more = average_jacobian(
                study.model,
                some,
                bos=study.bos,
                places=study.places,
                reach=study.options.reach,
                seed=study.options.seed * 1_000_003 + done,
            )
            found = more if found is None else found.joined(more)
        done = min(done + _SENTENCES, n)
        listen(Stage(JACOBIAN, done, n))
        if found is not None:
            kept.keep(partial(_so_far, found, done))
    assert found is not None  # held-out sentences have two tokens
    study.keep(found)
    names = study.layer_names()
    eye = torch.eye(study.model.facts.d_model, device=found.matrices.device)
    return JacobianResult(
        n_positions=found.n_positions,
        n_documents=parts.n_fitted_documents,
        reach=study.options.reach,
        layers=tuple(
            LayerJacobian(names[place], float(one.norm() / eye.norm()), float((one - eye).norm() / eye.norm()))
            for place, one in zip(found.places, found.matrices, strict=True)
        ),
    )


def _so_far(found: AverageJacobian, done: int) -> dict[str, np.ndarray]:
    """What is kept of it: after so many sentences."""
    return arrays_of(found) | {"done": np.array([done])}


def jacobian(findings: Findings) -> JacobianResult:
    """What came of it."""
    return findings.get(JACOBIAN, JacobianResult)


def _reading(findings: Findings) -> str:
    layers = jacobian(findings).layers
    return (
        f"The layers above {layers[0].layer} make of a small change of its state, on average, one that is "
        f"{layers[0].size:.3g} times as large over all directions; the Jacobian of {layers[-1].layer} is the identity."
    )


def _sample(findings: Findings) -> str:
    found = jacobian(findings)
    return f"{found.n_positions:,} positions of {found.n_documents:,} held-out documents, none of which it is tested on"


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in jacobian(findings).layers:
        yield Number(f"{one.layer}: |J| / |I|", "-", one.size, unit="")


def _charts(findings: Findings) -> Iterator[Chart]:
    layers = jacobian(findings).layers
    rows = [
        {"layer": number, "name": one.layer, "series": series, "value": value, "low": None, "high": None}
        for series, values in (
            ("|J| / |I|", [one.size for one in layers]),
            ("|J - I| / |I|", [one.away for one in layers]),
        )
        for number, (one, value) in enumerate(zip(layers, values, strict=True))
    ]
    yield Chart("jacobian-size", "The average Jacobian of each layer.", "lines", rows, "times", percent=False)


CHAPTER = Chapter(
    order=0,
    experiments=lambda _: [Experiment(JACOBIAN, JacobianResult, _run, parts=part_of(JACOBIAN))],
    results={JACOBIAN: JacobianResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Jacobian",
            title="What the layers above make of a state",
            question="How far is the average Jacobian of each layer from the identity?",
            definition="""
J = E[d h_last / d h]: h is the stream after a layer, h_last that after the last one, before the final norm. By default it is
the last state of the same token, as a mean with random signs; with --reach later the sum over that token and all later
ones, as the paper has it. The first position of an input is left out. |J| is the root of the sum of squares, and |I| that of
the identity.""",
            conclude="""
Where J is the identity, the Jacobian lens is the model's own reading. J is one matrix for all text: how far single positions
are from it is not told here, but seen by how well it reads.""",
            applies=lambda findings: JACOBIAN in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            charts=_charts,
        ),
    ),
)
