"""State files: what a worker has found, and which shards it covers. Knows no model.

Merging states is associative and commutative, bit for bit. A state file is a safetensors file with the arrays of one layer
after those of another, so that it is written and read with one layer in memory.
"""

import io
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from ffmem.errors import StoreError
from ffmem.ids import CellSpace, LayerCells
from ffmem.index.machine import n_processors
from ffmem.index.state.kernel import merge_lists
from ffmem.index.state.layers import Shape
from ffmem.index.state.sample import merge_samples
from ffmem.index.state.statistics import add_parts, sums_too_large
from ffmem.store.fields import Join
from ffmem.store.files import atomic_file

_MOST_THREADS = 4
"""That merge layers at a time: each holds two, and reading is the limit long before."""
Make = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
_CODES = {"<i8": "I64", "<i4": "I32", "<f4": "F32"}


@dataclass(frozen=True)
class Account:
    """What a saved state says of itself."""

    covered: frozenset[int]
    """The shards that it has seen whole."""
    machines: frozenset[str]
    """What computed them: see machine.machine."""


def state_path(folder: Path, run_id: str, slot: int) -> Path:
    """Where the worker of a slot keeps its state during one run."""
    return folder / f"state-{run_id}-{slot}.safetensors"


def states_of_run(folder: Path, run_id: str) -> dict[int, Path]:
    """The state files of one run, by slot: those of its workers, and those it took over from earlier runs."""
    paths = folder.glob(f"state-{run_id}-*.safetensors")
    return dict(sorted((int(path.stem.rpartition("-")[2]), path) for path in paths))


def save_state(
    path: Path,
    shape: Shape,
    layers: Iterable[Mapping[str, np.ndarray]],
    job: str,
    covered: Iterable[int],
    machines: Iterable[str] = (),
) -> None:
    """Write the arrays of all layers (see store/fields.py) as a state that covers some shards of a job, atomically.

    Cost: the memory of one layer, if ``layers`` makes them one by one.
    """
    with atomic_file(path) as file:
        _write(file, shape, layers, job, covered, machines)


def dump_state(
    shape: Shape, layers: Iterable[Mapping[str, np.ndarray]], job: str, covered: Iterable[int], machines: Iterable[str]
) -> bytes:
    """The bytes of a state file: see `save_state`."""
    file = io.BytesIO()
    _write(file, shape, layers, job, covered, machines)
    return file.getvalue()


def _write(
    file: BinaryIO,
    shape: Shape,
    layers: Iterable[Mapping[str, np.ndarray]],
    job: str,
    covered: Iterable[int],
    machines: Iterable[str],
) -> None:
    told = {"job": job, "covered": json.dumps(sorted(covered)), "machines": json.dumps(sorted(machines))}
    header = json.dumps({"__metadata__": told} | _layout(shape), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header)
    for cells, layer in zip(shape.layers, layers, strict=True):
        for name, (dtype, sizes) in _arrays(cells, shape).items():
            array = np.ascontiguousarray(layer[name])
            assert array.dtype == dtype and array.shape == sizes, (name, array.dtype, array.shape)
            file.write(array.reshape(-1).view(np.uint8).data)


def _arrays(cells: LayerCells, shape: Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and sizes of the arrays of a layer."""
    sizes = shape.sizes(cells)
    return {field.name: (field.dtype, field.shape(sizes)) for field in shape.fields()}


def _layout(shape: Shape) -> dict[str, dict[str, Any]]:
    """The arrays of a state file, as its header names them."""
    layout: dict[str, dict[str, Any]] = {}
    end = 0
    for place, cells in enumerate(shape.layers):
        for name, (dtype, sizes) in _arrays(cells, shape).items():
            begin, end = end, end + np.dtype(dtype).itemsize * math.prod(sizes)
            layout[f"L{place}.{name}"] = {"dtype": _CODES[dtype], "shape": list(sizes), "data_offsets": [begin, end]}
    return layout


def load_state(state: bytes) -> tuple[Account, dict[str, np.ndarray]]:
    """What the bytes of a state file say of themselves, and its arrays: "L3.keys" has the keys of the layer at place 3."""
    n_header = int.from_bytes(state[:8], "little")
    metadata = json.loads(state[8 : 8 + n_header])["__metadata__"]
    account = Account(frozenset(json.loads(metadata["covered"])), frozenset(json.loads(metadata["machines"])))
    return account, load(state)


def read_account(path: Path, job: str) -> Account | None:
    """What a saved state says of itself, or None if it is damaged or the state of another job."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("job") != job:
                return None
            return Account(
                frozenset(json.loads(metadata["covered"])), frozenset(json.loads(metadata.get("machines", "[]")))
            )
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def merged_layers(
    paths: Sequence[Path], shape: Shape, make: Make | None = None, threads: int | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Each layer of several saved states, merged, in order. They must cover different shards.

    Args:
        paths: the states.
        shape: of all of them.
        make: what is to be made of a merged layer, by the thread that merged it; by default the layer as it is.
        threads: layers that are merged at a time, by default one for each processor, up to 4.

    Raises:
        StoreError: one of them cannot be read, or has other sizes.
        ModelError: their sums together are beyond the limit.

    Cost: reads each state once; the memory of two layers a thread, and one more.
    """
    threads = threads or min(n_processors(), _MOST_THREADS)
    states = [SavedState(path, shape) for path in paths]
    waiting: deque[Future[dict[str, np.ndarray]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for place in range(len(shape.layers)):
                if len(waiting) == threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_merged, states, place, make))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _merged(states: Sequence["SavedState"], place: int, make: Make | None) -> dict[str, np.ndarray]:
    merged = states[0].layer(place)
    room: np.ndarray | None = None
    for state in states[1:]:
        room = state.room(place) if room is None else room
        layer = state.layer(place, room)
        if state.shape.sample:
            merge_samples(merged, layer)  # first: the strata of both are told from their own extremes
        # sums last: what is said of one that is too large needs the extremes of both
        by_itself = [field for field in state.shape.fields() if field.join != "sample"]
        for field in sorted(by_itself, key=lambda field: field.join == "exact"):
            row = _JOIN[field.join](merged[field.name], layer[field.name])
            if row is not None:
                raise sums_too_large(
                    CellSpace(state.shape.layers).cell_id(place, row),
                    f"between {merged['minimum'][row]:.3g} and {merged['maximum'][row]:.3g}, at too many positions",
                )
    return merged if make is None else make(merged)


class SavedState:
    """A state file whose layers are read one at a time."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self._path, self.shape = path, shape
        try:
            with path.open("rb") as file:
                n_header = int.from_bytes(file.read(8), "little")
                if n_header > path.stat().st_size:
                    raise ValueError("it has no header")
                header = dict(json.loads(file.read(n_header)))
        except (OSError, ValueError, TypeError) as error:
            raise self._unreadable(str(error)) from error
        self._begin = 8 + n_header
        layout = _layout(shape)
        if {name: array for name, array in header.items() if name != "__metadata__"} != layout:
            raise self._unreadable("it holds arrays of other sizes")
        self._offsets = {name: array["data_offsets"] for name, array in layout.items()}

    def room(self, place: int) -> np.ndarray:
        """Memory for a layer."""
        begin, end = self._span(place)
        return np.empty(end - begin, dtype=np.uint8)

    def layer(self, place: int, room: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The arrays of a layer, read into ``room`` or new memory."""
        room = self.room(place) if room is None else room
        begin, _ = self._span(place)
        n_read = 0
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(self._begin + begin)
                while n_read < len(room) and (more := file.readinto(room[n_read:].data)):
                    n_read += more
        except OSError as error:
            raise self._unreadable(str(error)) from error
        if n_read < len(room):
            raise self._unreadable("it ends too early")
        return self._views(place, room)

    def _views(self, place: int, room: np.ndarray) -> dict[str, np.ndarray]:
        begin, _ = self._span(place)
        layer = {}
        for name, (dtype, sizes) in _arrays(self.shape.layers[place], self.shape).items():
            first, last = self._offsets[f"L{place}.{name}"]
            layer[name] = room[first - begin : last - begin].view(dtype).reshape(sizes)
        return layer

    def _span(self, place: int) -> tuple[int, int]:
        """Where the arrays of a layer begin and end."""
        offsets = [self._offsets[f"L{place}.{name}"] for name in _arrays(self.shape.layers[place], self.shape)]
        return offsets[0][0], offsets[-1][1]

    def _unreadable(self, why: str) -> StoreError:
        return StoreError(
            f"the state file {self._path} cannot be read: {why}",
            "Expected a checkpoint of this build",
            f"Delete {self._path} and run the same `ffmem index` command again: its shards are read again",
        )


def _merge_keys(ours: np.ndarray, theirs: np.ndarray) -> None:
    top = ours.shape[-1]
    merge_lists(ours.reshape(-1, top), theirs.reshape(-1, top))


def _in_place(ufunc: np.ufunc) -> Callable[[np.ndarray, np.ndarray], None]:
    def join(ours: np.ndarray, theirs: np.ndarray) -> None:
        ufunc(ours, theirs, out=ours)

    return join


_JOIN: dict[Join, Callable[[np.ndarray, np.ndarray], int | None]] = {
    "best": _merge_keys,
    "exact": add_parts,
    "add": _in_place(np.add),
    "minimum": _in_place(np.minimum),
    "maximum": _in_place(np.maximum),
}
"""Each puts what two states have together into the first; the row of a cell whose sum is then too large, or None."""
