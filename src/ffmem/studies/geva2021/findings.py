"""The results of a study, read back as plain values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.store.reader import Index
from ffmem.studies.results import Results


@dataclass(frozen=True)
class Findings:
    """What a study found, as plain JSON values."""

    header: dict[str, Any]
    """Identity of the index, options, held-out text."""
    values: dict[str, Any]
    """By experiment; one that this model cannot be asked is not there."""
    projection: str
    """By which the index reads values."""
    layers: tuple[str, ...]
    d_vocab: int

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.header["index"]["model"]["name"])

    @property
    def corpus(self) -> str:
        """Name of the corpus."""
        return str(self.header["index"]["corpus"]["name"])

    @cached_property
    def agreement(self) -> dict[str, Any] | None:
        """Under the index's own projection."""
        return self.values.get(f"agreement-{self.projection}")

    def projections(self) -> list[str]:
        """By which values were read, the index's own first."""
        return [name.removeprefix("agreement-") for name in self.values if name.startswith("agreement-")]


def findings(results: Results, index: Index) -> Findings:
    """All results of a study that are finished."""
    names = sorted(path.stem for path in results.folder.glob("*.json") if path.stem not in ("study", "costs"))
    manifest = index.manifest
    own = f"agreement-{manifest.projection}"
    return Findings(
        header=results.header,
        values={name: results.load(name) for name in sorted(names, key=lambda one: (one != own, one))},
        projection=manifest.projection,
        layers=tuple(layer.name for layer in index.cells.layers),
        d_vocab=manifest.model.d_vocab,
    )


def pooled(estimates: Iterable[dict[str, Any]]) -> Estimate:
    """One proportion of several groups together."""
    some = [one for one in estimates if one["n"]]
    return proportion(round(sum(one["value"] * one["n"] for one in some)), sum(one["n"] for one in some))


def averaged(estimates: Iterable[dict[str, Any]]) -> Estimate:
    """Mean of estimates of several layers; its interval is the mean of theirs, which is wider than it need be."""
    some = [one for one in estimates if one["value"] is not None]
    value, low, high = (average(one[key] for one in some) for key in ("value", "low", "high"))
    return Estimate(value, low, high, sum(one["n"] for one in some))


def thirds(layers: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The lowest third of the layers, and the highest."""
    n = max(1, len(layers) // 3)
    return layers[:n], layers[-n:]


def average(values: Iterable[float | None]) -> float:
    """Mean of what there is."""
    found = [one for one in values if one is not None]
    return float(np.mean(found)) if found else float("nan")


def percent(value: float) -> str:
    """A share as a reader would write it, in per cent: with more digits where it is small."""
    if 0 < abs(value) < 5e-7:
        return "below 0.0001"
    digits = 1 if abs(value) >= 0.0095 or value == 0 else 2 if abs(value) >= 0.00095 else 4
    return f"{100 * value:.{digits}f}"
