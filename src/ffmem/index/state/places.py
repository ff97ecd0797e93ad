"""Which positions of a batch compete, as arrays of the host and as tensors beside the model. Knows no model."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int, Int32, Int64
from torch import Tensor


@dataclass(frozen=True)
class DevicePlaces:
    """The same as Places, where the model is."""

    lengths: Int32[Tensor, "sentences"]
    """How many positions compete, 0 or more."""
    tokens: Int64[Tensor, "sentences competing"]
    """Token index of each."""
    rows: Int64[Tensor, "2 all"]
    """Sentence and position, from the first that competes, of every competing position; empty unless asked for, or there are
    keys for a sample."""
    sample_keys: Int64[Tensor, "sentences _"]
    """With what each competes for the sample of a cell; empty if there is none."""


@dataclass(frozen=True)
class Places:
    """Which positions of a batch compete, and which tokens they are."""

    first_position: int
    """The first competing position of every row."""
    lengths: Int[np.ndarray, "sentences"]
    """How many positions compete from there on, int64; longest first."""
    tokens: Int[np.ndarray, "sentences competing"]
    """Token index of each competing position, int64; rows are as long as the longest."""
    sample_keys: Int[np.ndarray, "sentences competing"] | None = None
    """With what each competes for the sample of a cell, int64: see strata.sample_keys; None: there is no sample."""
    _moved: dict[torch.device, DevicePlaces] = field(default_factory=dict, init=False, compare=False, repr=False)

    def on(self, device: torch.device, every_position: bool) -> DevicePlaces:
        """These on a device; they are brought there once, and the host does not wait for it.

        Args:
            device: where.
            every_position: whether ``rows`` are asked for.
        """
        if device not in self._moved:
            lengths = np.maximum(self.lengths, 0).astype(np.int32)
            inside = np.arange(self.tokens.shape[1]) < lengths[:, None]
            every_position |= self.sample_keys is not None
            rows = np.stack(inside.nonzero()) if every_position else np.empty((2, 0), dtype=np.int64)
            keys = np.empty((len(lengths), 0), dtype=np.int64) if self.sample_keys is None else self.sample_keys
            arrays = (lengths, self.tokens, rows, keys)
            self._moved[device] = DevicePlaces(*(to_device(array, device) for array in arrays))
        return self._moved[device]


def to_device(array: np.ndarray, device: torch.device | str) -> Tensor:
    """An array as a tensor on a device; the host does not wait until it is there."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
