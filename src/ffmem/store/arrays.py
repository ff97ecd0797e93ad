"""The arrays of a layer file, memory-mapped. Knows no model; needs no torch."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ffmem.errors import StoreError
from ffmem.ids import LayerCells
from ffmem.store.fields import arrays_with, axis_sizes, shape_of
from ffmem.store.files import damaged, map_arrays
from ffmem.store.manifest import Manifest


@dataclass(frozen=True)
class LayerArrays:
    """The arrays of one layer, memory-mapped: see `fields.layer_arrays`."""

    path: Path
    sizes: dict[str, int]
    """Length of each axis: see `layer_sizes`."""

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        arrays, expected = map_arrays(self.path), arrays_with(self.sizes)
        for name in expected.keys() & arrays.keys():
            dtype, axes = expected[name]
            array, shape = arrays[name], shape_of(axes, self.sizes)
            if array.dtype != np.dtype(dtype) or array.shape != shape:
                raise damaged(self.path, f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}")
        return arrays

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._arrays[name]
        except KeyError:
            raise StoreError(
                f"{self.path} has no array {name!r}",
                f"Expected {', '.join(sorted(arrays_with(self.sizes)))}",
                "Run `ffmem verify` on the index, or rebuild it",
            ) from None


def layer_sizes(manifest: Manifest, cells: LayerCells) -> dict[str, int]:
    """Length of each axis of the arrays of a layer."""
    options = manifest.options
    n_promoted = min(options.promoted, manifest.model.d_vocab)
    return axis_sizes(
        cells,
        manifest.n_signs,
        options.top,
        n_promoted,
        options.quadrants,
        options.sample,
        len(manifest.model.labels),
        manifest.has_active_sentences,
    )


def total_of(parts: np.ndarray) -> np.ndarray:
    """Float64 sums from their stored parts: whole numbers, and multiples of 2**-40."""
    total: np.ndarray = parts[0].astype(np.float64) + parts[1].astype(np.float64) * 2.0**-40
    return total
