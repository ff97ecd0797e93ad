"""What the experiments of the study share: an index, its model, positions of held-out text, and the results."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64

from ffmem.analyses.updates.readout import Readout
from ffmem.analyses.values import unigram_counts
from ffmem.models.controls import ControlKind
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.on_held_out import OnHeldOut
from ffmem.studies.study import StageListener, Subject

NAME = "geva2022"


class Geva2022(OnHeldOut):
    """What the experiments share: see `OnHeldOut`."""

    name: ClassVar[str] = NAME
    about: ClassVar[str] = "a study of what layers add to a prediction"
    measured: ClassVar[int] = 1
    of_control: ClassVar[Mapping[str, int]] = {"positions": 1000, "update_positions": 250, "update_cells": 30}
    of_model: ClassVar[tuple[str, ...]] = ("model", "readout", "other")
    options: UpdateOptions

    @cached_property
    def readout(self) -> Readout:
        """How it reads its last state."""
        return Readout(self.model)

    @cached_property
    def other(self) -> Transformer:
        """The other model that a user named.

        Raises:
            InputError: it cannot be loaded.
        """
        assert self.options.other is not None
        options, trusted = self.index.manifest.options, self._subject.trust_remote_code
        return load_model(
            self.options.other, dtype=options.dtype, device=str(self.model.device), trust_remote_code=trusted
        )

    @cached_property
    def unigram(self) -> Float64[np.ndarray, "d_vocab"]:
        """The probability of each token in the indexed text, with one more occurrence of each than it has there."""
        counts = unigram_counts(self.index) + 1.0
        found: np.ndarray = counts / counts.sum()
        return found


def begin(subject: Subject, options: UpdateOptions, _: StageListener) -> Geva2022:
    """From an index and options to what the experiments share.

    Raises:
        InputError: see `OnHeldOut`.
    """
    return Geva2022(subject, options)


def control_of(kind: ControlKind) -> Callable[[Geva2022, StageListener], Geva2022]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)


def as_tensor(values: np.ndarray, model: Transformer) -> torch.Tensor:
    """Numbers where a model is."""
    return torch.from_numpy(values).to(model.device)
