"""What the experiments of the study share: held-out text in two parts, and the lenses once the Jacobian is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from ffmem.analyses.lenses.jacobian import AverageJacobian
from ffmem.analyses.lenses.reading import Reader
from ffmem.analyses.removal import removal_layers
from ffmem.analyses.updates.positions import Positions
from ffmem.errors import InputError
from ffmem.models.controls import ControlKind
from ffmem.studies.gurnee2026.options import LensOptions
from ffmem.studies.on_held_out import OnHeldOut
from ffmem.studies.study import StageListener, Subject

NAME = "gurnee2026"
JACOBIAN = "jacobian"
"""The name of the experiment that makes it, and of the arrays that hold it."""


@dataclass(frozen=True)
class Parts:
    """Held-out text, divided by documents."""

    fitted: tuple[np.ndarray, ...]
    """Own tokens of the sentences that the Jacobian is made of."""
    n_fitted_documents: int
    tested: Positions


class Gurnee2026(OnHeldOut):
    """See `OnHeldOut`."""

    name: ClassVar[str] = NAME
    about: ClassVar[str] = "a study of how what layers hold is read"
    measured: ClassVar[int] = 1
    of_control: ClassVar[Mapping[str, int]] = {
        "positions": 200,
        "fit_positions": 50,
        "effect_positions": 20,
        "cells": 50,
    }
    of_model: ClassVar[tuple[str, ...]] = ("model", "reader")
    options: LensOptions

    @cached_property
    def parts(self) -> Parts:
        """What the Jacobian is made of, and what it is tested on."""
        return divided(self.positions, self.options.fit_positions, seed=self.options.seed)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Of the layers that are looked at."""
        return tuple(removal_layers(self.index.n_layers, self.options.layers))

    @cached_property
    def reader(self) -> Reader:
        """The lenses, with the Jacobian that was kept."""
        return Reader(self.model, jacobian_of(self.results.load_arrays(JACOBIAN), self.model.device))

    def keep(self, jacobian: AverageJacobian) -> None:
        """Keep the Jacobian for the other experiments."""
        self.results.save_arrays(JACOBIAN, arrays_of(jacobian))


def divided(positions: Positions, n_fitted: int, *, seed: int) -> Parts:
    """Random documents until their sentences have so many positions, half of the documents at most; and the others.

    Raises:
        InputError: all are of one document.
    """
    prefixes, rng = positions.prefixes, np.random.default_rng([seed, 34])
    documents = rng.permutation(np.unique(positions.document))
    if len(documents) < 2:
        raise InputError(
            "the held-out positions are all of one document",
            "Expected two documents at least: one that the Jacobian is made of, and one to test it on",
            "Give other text with --held-out CORPUS, or write a larger --positions",
        )
    fitted: list[np.ndarray] = []
    taken: list[int] = []
    for document in documents[: len(documents) // 2].tolist():
        taken.append(document)
        for sentence in np.flatnonzero(prefixes.document == document).tolist():
            if sum(map(len, fitted)) < n_fitted:
                fitted.append(prefixes.sentences[sentence])
        if sum(map(len, fitted)) >= n_fitted:
            break
    left = np.flatnonzero(~np.isin(positions.document, taken))
    return Parts(tuple(fitted), len(taken), Positions(prefixes.some(left), positions.following[left]))


def arrays_of(jacobian: AverageJacobian) -> dict[str, np.ndarray]:
    """The Jacobian as arrays."""
    return {
        "places": np.array(jacobian.places),
        "matrices": jacobian.matrices.cpu().numpy(),
        "means": jacobian.means.cpu().numpy(),
        "mean_last": jacobian.mean_last.cpu().numpy(),
        "n_positions": np.array([jacobian.n_positions]),
    }


def jacobian_of(arrays: dict[str, np.ndarray], device: torch.device) -> AverageJacobian:
    """The Jacobian that such arrays hold."""
    matrices, means, last = (
        torch.tensor(np.array(arrays[name])).to(device) for name in ("matrices", "means", "mean_last")
    )
    return AverageJacobian(tuple(arrays["places"].tolist()), matrices, means, last, int(arrays["n_positions"][0]))


def begin(subject: Subject, options: LensOptions, _: StageListener) -> Gurnee2026:
    """From an index and options to what the experiments share.

    Raises:
        InputError: see `OnHeldOut`.
    """
    return Gurnee2026(subject, options)


def control_of(kind: ControlKind) -> Callable[[Gurnee2026, StageListener], Gurnee2026]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)
