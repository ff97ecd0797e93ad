"""States of workers as they would be after equal shares of a corpus, made without a model.

A list of triggers is the largest of many draws from a distribution with a heavy tail. What merging costs depends on how the
lists of a cell compare and on nothing else, so all cells have the same distribution.

For more states than fit on a disk, a few files stand in for many: each state is one of the files, with its lists turned by so
many cells. So each cell meets lists that are all distinct and independent, and reading, merging and writing do what they do
with files of their own; only the page cache holds more of them than it would.
"""

import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from ffmem.ids import LayerCells
from ffmem.index.state import states
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import save_state, state_path
from ffmem.store.keys import NO_TOKEN, join

JOB = "simulated"
TAIL = 0.2
"""Of the coefficients: the largest of n draws grows as n to this power."""


def clocks() -> np.ndarray:
    """Seconds of the clock, and of processors in this thread."""
    return np.array([time.perf_counter(), time.thread_time()])


def shape_of(n_layers: int, n_cells: int, top: int) -> Shape:
    """Gated layers: lists of both signs."""
    return Shape(tuple(LayerCells(layer, n_cells) for layer in range(n_layers)), 2, top, "1")


def _layer(rng: np.random.Generator, shape: Shape, n_cells: int, share: tuple[int, int]) -> dict[str, np.ndarray]:
    """A layer after one share of a corpus: (tokens, first token)."""
    n_tokens, first = share
    ranks = rng.standard_exponential((shape.n_signs, n_cells, shape.top)).cumsum(
        2
    )  # order statistics, from the largest on
    coefficients = (ranks / (n_tokens / 20)) ** -TAIL
    bits = coefficients.astype(np.float32).view(np.int32).astype(np.int64)
    tokens = first + rng.integers(0, n_tokens, size=bits.shape)
    keys = np.sort(join(bits, tokens), axis=2)[:, :, ::-1]
    histogram = rng.integers(0, n_tokens // 1280, size=(shape.n_signs, 64, n_cells), dtype=np.int32)
    return {
        "keys": np.ascontiguousarray(keys),
        "sum": rng.integers(-(2**30), 2**30, size=(2, n_cells)),
        "square_sum": rng.integers(0, 2**30, size=(2, n_cells)),
        "n_active": rng.integers(0, n_tokens, size=n_cells),
        "n_active_sentences": rng.integers(0, max(n_tokens // 20, 1), size=n_cells),
        "minimum": -coefficients[1, :, 0].astype(np.float32),
        "maximum": coefficients[0, :, 0].astype(np.float32),
        "histogram": histogram,
        "counts": np.array([[n_tokens, n_tokens // 20]]),
    }


def write_files(folder: Path, shape: Shape, n_files: int, n_states: int) -> list[Path]:
    """The files that stand in for ``n_states`` states, which share all tokens that an index can have."""
    n_tokens, paths = (NO_TOKEN - 1) // n_states, []
    for number in range(n_files):
        rng = np.random.default_rng(number)
        layers = (_layer(rng, shape, cells.d_ff, (n_tokens, number * n_tokens)) for cells in shape.layers)
        paths.append(folder / f"file-{number}.safetensors")
        save_state(paths[-1], shape, layers, JOB, {number})
    return paths


def link_states(files: list[Path], folder: Path, n_states: int) -> dict[Path, int]:
    """Paths of ``n_states`` states, which are links to the files, and by how many cells each is turned."""
    turned = {}
    for slot in range(n_states):
        path = state_path(folder, "turned", slot)
        os.link(files[slot % len(files)], path)
        turned[path] = 97 * (slot // len(files))  # 97 has no factor in common with the numbers of cells in use
    return turned


class TurnedState(states.SavedState):
    """A state that is one of the files, turned; or any other state file, as it is. Times what is read."""

    turned: ClassVar[dict[Path, int]] = {}
    """By how many cells: see `link_states`."""
    cold: ClassVar[bool] = False
    """Whether a file is dropped from the page cache before it is read."""
    reads: ClassVar[list[tuple[int, np.ndarray]]] = []
    """Bytes and `clocks` of each read."""

    def __init__(self, path: Path, shape: Shape) -> None:
        if self.cold:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        super().__init__(path, shape)

    def layer(self, place: int, room: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The arrays of a layer."""
        begin = clocks()
        shift = self.turned.get(self._path, 0)
        if shift:
            room = self.room(place) if room is None else room
            found = self._turned(place, room, shift % self.shape.layers[place].n_cells)
        else:
            found = super().layer(place, room)
        self.reads.append((sum(array.nbytes for array in found.values()), clocks() - begin))
        return found

    def _turned(self, place: int, room: np.ndarray, shift: int) -> dict[str, np.ndarray]:
        """Keys are the first array of a layer: for each sign, its last lists are read to the front."""
        begin, end = self._span(place)
        n_signs, n_cells, row = self.shape.n_signs, self.shape.layers[place].n_cells, 8 * self.shape.top
        pieces = []
        for sign in range(n_signs):
            first = sign * n_cells * row
            pieces.append((first + shift * row, first, (n_cells - shift) * row))
            pieces.append((first, first + (n_cells - shift) * row, shift * row))
        rest = n_signs * n_cells * row
        pieces.append((rest, rest, end - begin - rest))
        with self._path.open("rb", buffering=0) as file:
            for target, source, n_bytes in pieces:
                file.seek(self._begin + begin + source)
                assert file.readinto(room[target : target + n_bytes].data) == n_bytes
        return self._views(place, room)
