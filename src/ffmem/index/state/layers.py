"""What a pass keeps of cells that see the same positions (a layer, or one expert of it): lists and statistics.

Once compiled for a CPU, once as tensors: both give the same lists and counts from the same coefficients, and sums that
agree to rounding. Know no model.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.ids import LayerCells
from ffmem.index.state.kernel import observe
from ffmem.index.state.places import Places
from ffmem.index.state.sample import CpuSample
from ffmem.index.state.statistics import LayerStatistics, add_exactly, no_room
from ffmem.index.state.topk import TopT
from ffmem.index.state.torch_sample import TorchSample
from ffmem.options import PerSentence
from ffmem.store import fields
from ffmem.store.keys import upper


@dataclass(frozen=True)
class Shape:
    """Sizes of what is kept."""

    layers: tuple[LayerCells, ...]
    n_signs: int
    """2 where the sign of a coefficient is a gauge (gated cells), else 1."""
    top: int
    """Triggers a cell and sign."""
    per_sentence: PerSentence
    """"1": only a sentence's best position competes; "all": every position."""
    quadrants: bool = False
    """Whether gated cells are kept by quadrant, too: see quadrants.py."""
    sample: int = 0
    """Positions kept of each stratum of a cell's coefficients: see store/strata.py; 0: there is no sample."""
    active_sentences: bool = True
    """Whether states have `fields.ACTIVE_SENTENCES`: not those that an index becomes part of which has not."""
    histograms: bool = True
    """Whether sentences are counted by their largest coefficient; can be left out on a CPU only, of what is not saved."""

    def sizes(self, cells: LayerCells, n_promoted: int = 0) -> dict[str, int]:
        """Length of each axis of the arrays of a layer: see store/fields.py."""
        kept = self.quadrants, self.sample
        sizes = fields.axis_sizes(
            cells, self.n_signs, self.top, n_promoted, *kept, active_sentences=self.active_sentences
        )
        return sizes if self.histograms else sizes | {"bins": 0}

    def fields(self) -> tuple[fields.Field, ...]:
        """What a state of this shape keeps of each layer."""
        return fields.state_fields(self.quadrants, bool(self.sample), self.active_sentences)


class CpuLayer:
    """The state of some cells, kept by compiled loops in one thread.

    Cost: n_cells x n_signs x (8 x top + 268) bytes; a sample besides n_cells x strata x (12 x sample + 12).
    """

    def __init__(self, n_cells: int, shape: Shape) -> None:
        self._every_position = shape.per_sentence == "all"
        sizes = shape.sizes(LayerCells(0, n_cells))
        self._state = {field.name: field.empty(sizes) for field in fields.FIELDS}
        """The fields; keys in heaps: see kernel.py."""
        self._least_bits = np.ones((shape.n_signs, n_cells), dtype=np.int32)
        self._shard_sums = np.zeros((2, n_cells), dtype=np.float64)
        self._sample = CpuSample(shape.n_signs, sizes) if shape.sample else None
        self._scratch = (np.empty((4, n_cells), dtype=np.float32), np.empty((3, n_cells), dtype=np.int32))

    def observe(self, coefficients: Float[Tensor, "sentences positions d_ff"], places: Places) -> None:
        """Count the coefficients of one batch, and let them compete."""
        values = coefficients.contiguous().numpy()
        observe(
            values,
            places.first_position,
            places.lengths,
            places.tokens,
            self._state["keys"],
            self._least_bits,
            self._state["histogram"],
            self._state["minimum"],
            self._state["maximum"],
            self._state["n_active"],
            self._state["n_active_sentences"],
            self._shard_sums,
            self._scratch,
            self._every_position,
        )
        if self._sample is not None and places.sample_keys is not None:
            self._sample.observe(values, places.first_position, places.lengths, places.sample_keys)
        self._state["counts"] += np.maximum(places.lengths, 0).sum(), (places.lengths > 0).sum()

    def first_not_finite(self) -> int | None:
        """Index of a cell for whose sums since the last shard was closed there is no room (NaN, infinity), or None."""
        bad = no_room(torch.stack(self._totals()), torch.from_numpy(self._shard_sums)).any(0)
        return int(bad.nonzero()[0]) if bad.any() else None

    def close_shard(self) -> None:
        """Move the shard's sums into the exact totals. State is only ever saved between shards."""
        for total, shard in zip(self._totals(), self._shard_sums, strict=True):
            add_exactly(total, torch.from_numpy(shard))
        self._shard_sums[:] = 0

    def _totals(self) -> list[Tensor]:
        """The exact sums, as tensors on the same memory."""
        return [torch.from_numpy(self._state[name]) for name in ("sum", "square_sum")]

    def state(self) -> dict[str, np.ndarray]:
        """The fields of store/fields.py, by name."""
        sample = {} if self._sample is None else self._sample.state()
        return self._state | sample | {"keys": np.sort(self._state["keys"], axis=2)[:, :, ::-1].copy()}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        for name in self._state.keys() & state.keys():
            # ascending order is a heap
            self._state[name][:] = state[name][:, :, ::-1] if name == "keys" else state[name]
        self._least_bits[:] = np.maximum(upper(self._state["keys"][:, :, 0]), 1)
        if self._sample is not None:
            self._sample.load(state)


class TorchLayer:
    """The state of some cells, kept as tensors on any device."""

    def __init__(self, n_cells: int, shape: Shape, device: torch.device | str) -> None:
        self._shape = shape
        self._device = device
        self._statistics = LayerStatistics(n_cells, shape.n_signs, device)
        sizes = shape.sizes(LayerCells(0, n_cells))
        self._sample = TorchSample(shape.n_signs, sizes, device) if shape.sample else None
        self._lists = [TopT(n_cells, shape.top, device) for _ in range(shape.n_signs)]

    def observe(self, coefficients: Float[Tensor, "sentences positions d_ff"], places: Places) -> None:
        """Count the coefficients of one batch, and let them compete."""
        row = 0
        for length, same in groupby(places.lengths.tolist()):
            n = len(list(same))
            if length > 0:
                first = places.first_position
                tokens = torch.from_numpy(places.tokens[row : row + n, :length]).to(self._device)
                self._observe_span(coefficients[row : row + n, first : first + length], tokens)
            row += n
        if self._sample is not None:
            self._sample.observe(coefficients, places)

    def _observe_span(
        self, values: Float[Tensor, "sentences positions d_ff"], tokens: Int[Tensor, "sentences positions"]
    ) -> None:
        """Sentences of equal length, without padding."""
        maxima, minima = self._statistics.update(values)
        for sign, lists in enumerate(self._lists):
            if self._shape.per_sentence == "all":
                flat = values.reshape(-1, values.shape[2])
                lists.update(-flat if sign else flat, lambda rows, _: tokens.reshape(-1)[rows])
            elif sign == 0:
                lists.update(maxima, lambda rows, cells: tokens[rows, values.transpose(1, 2)[rows, cells].argmax(1)])
            else:
                lists.update(-minima, lambda rows, cells: tokens[rows, values.transpose(1, 2)[rows, cells].argmin(1)])

    def first_not_finite(self) -> int | None:
        """Index of a cell for whose sums since the last shard was closed there is no room (NaN, infinity), or None."""
        return self._statistics.first_not_finite()

    def close_shard(self) -> None:
        """Move the shard's sums into the exact totals. State is only ever saved between shards."""
        self._statistics.close_shard()

    def state(self) -> dict[str, np.ndarray]:
        """The fields of store/fields.py, by name."""
        statistics = self._statistics
        return {
            "keys": torch.stack([lists.keys() for lists in self._lists]).cpu().numpy(),
            "counts": np.array([[statistics.n_tokens, statistics.n_sentences]]),
            **{name: tensor.cpu().numpy() for name, tensor in statistics.fields().items()},
            **({} if self._sample is None else self._sample.state()),
        }

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        for lists, keys in zip(self._lists, state["keys"], strict=True):
            lists.load(torch.from_numpy(keys).to(self._device))
        for name, tensor in self._statistics.fields().items():
            if name in state:
                tensor.copy_(torch.from_numpy(state[name]))
        self._statistics.n_tokens, self._statistics.n_sentences = state["counts"][0].tolist()
        if self._sample is not None:
            self._sample.load(state)


def make_layer(n_cells: int, shape: Shape, device: torch.device | str) -> CpuLayer | TorchLayer:
    """The state of some cells for a device."""
    return CpuLayer(n_cells, shape) if torch.device(device).type == "cpu" else TorchLayer(n_cells, shape, device)
