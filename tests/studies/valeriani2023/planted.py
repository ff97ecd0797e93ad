"""Findings with a known answer: profiles as given, halves that lie closely around them."""

from pathlib import Path
from typing import Any

import numpy as np

from ffmem.analyses.geometry.halves import N_HALVES
from ffmem.analyses.intervals import Estimate
from ffmem.studies.results import Findings, Results, begin_results
from ffmem.studies.valeriani2023.findings import REDUCED, TEXT, WORDS, Cloud, Geometry

IDENTITY: dict[str, Any] = {"model": {"name": "planted"}, "corpus": {"name": "text"}}


def planted(
    folder: Path,
    dimension: list[float],
    *,
    labelled: list[float] | None = None,
    near: list[float] | None = None,
    words: list[float] | None = None,
    blind: float = 0.2,
    noise: float = 0.01,
    controls: dict[str, Findings] | None = None,
) -> Findings:
    """Findings of one stack whose layers have these numbers."""
    header = {"study": "valeriani2023", "index": IDENTITY, "options": {"points": 400, "seed": 0}}
    results = begin_results(folder, header)
    values = {TEXT: _kept(results, TEXT, dimension, labelled, near, blind, noise)}
    if words is not None:
        values[WORDS] = _kept(results, WORDS, words, labelled, near, blind, noise)
    return Findings(results.header, results.folder, values, controls=controls or {})


def _kept(
    results: Results,
    experiment: str,
    dimension: list[float],
    labelled: list[float] | None,
    near: list[float] | None,
    blind: float,
    noise: float,
) -> Geometry:
    rng, n = np.random.default_rng(0), len(dimension)
    nothing = [float("nan")] * n

    def halves(values: list[float]) -> np.ndarray:
        drawn: np.ndarray = np.array(values)[:, None] * (1 + noise * rng.normal(size=(n, N_HALVES)))
        return drawn

    topics, steps = labelled or nothing, [*(near or [0.5] * (n - 1)), float("nan")]
    arrays = {"blind halves": blind * (1 + noise * rng.normal(size=N_HALVES))}
    for kind in ("o", "o, last token", REDUCED):
        arrays |= {
            f"{kind} dimension": np.array(dimension)[:, None],
            f"{kind} dimension halves": halves(dimension)[:, :, None],
            f"{kind} labelled": np.array(topics),
            f"{kind} labelled halves": halves(topics),
            f"{kind} near": np.array(steps),
            f"{kind} near halves": halves(steps),
        }
    results.save_arrays(experiment, arrays)

    def estimate(value: float) -> Estimate:
        return Estimate(value, value - 2 * noise, value + 2 * noise, 400)

    clouds = tuple(
        Cloud(f"L{place}", "", estimate(d), (d,), d, d, (d,), 0, estimate(topics[place]), estimate(steps[place]))
        for place, d in enumerate(dimension)
    )
    n_labels = 0 if labelled is None else 5
    return Geometry(
        400, 200, 0, "topic" if n_labels else "", n_labels, 30, (1,), (1,), 0, float("nan"), 0.1, estimate(blind),
        {"o": clouds, "o, last token": clouds, REDUCED: clouds},
    )  # fmt: skip
