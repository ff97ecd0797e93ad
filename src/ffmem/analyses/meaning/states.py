"""One pass of a model over a sample: coefficients of some cells, and what all keys are compared with, kept on disk."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from ffmem.analyses.prefixes import Pass, passes
from ffmem.models.tracing import watch_inputs
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

_LARGEST = float(np.finfo(np.float16).max)


class Rows:
    """A table of float16 that is written some rows at a time: in memory, or in a file, of which a process then holds nothing.

    Args:
        n: rows.
        width: columns.
        path: of the file; None: in memory.
    """

    def __init__(self, n: int, width: int, path: Path | None) -> None:
        self._shape, self._path = (n, width), path
        self._kept = np.zeros(self._shape, dtype=np.float16) if path is None else np.zeros(0, dtype=np.float16)
        self._file = None if path is None else path.open("wb", buffering=0)

    def put(self, first: int, values: np.ndarray) -> None:
        """Write rows from a first one on."""
        if self._file is None:
            self._kept[first : first + len(values)] = values
        else:
            self._file.seek(first * self._shape[1] * 2)
            self._file.write(np.ascontiguousarray(values, dtype=np.float16).tobytes())

    def close(self) -> None:
        """No more is written."""
        if self._file is not None:
            self._file.close()

    def read(self) -> Float32[np.ndarray, "n width"]:
        """All of it."""
        if self._path is None:
            return self._kept.astype(np.float32)
        return np.fromfile(self._path, dtype=np.float16).reshape(self._shape).astype(np.float32)


@dataclass(frozen=True)
class States:
    """What a model has at some positions, layer by layer, as float16 (the largest finite one for those beyond)."""

    kept_coefficients: Sequence[Rows]
    """(positions, some cells) of each layer."""
    kept_inputs: Sequence[Rows]
    """(positions, d_model) of each layer; none at all if they were not asked for."""

    def coefficients(self, layer: int) -> Float32[np.ndarray, "n cells"]:
        """Of the chosen cells of the layer at a place."""
        return self.kept_coefficients[layer].read()

    def inputs(self, layer: int) -> Float32[np.ndarray, "n d_model"]:
        """x: what keys are compared with."""
        return self.kept_inputs[layer].read()


@dataclass(frozen=True)
class _Batch:
    """Where the kept positions of a pass are, and where they go to."""

    at: tuple[Tensor, Tensor]
    """Rows and columns of the states, sentence after sentence."""
    to: Sequence[tuple[int, int]]
    """Of each sentence, the first row that it is written to, and how many there are."""
    cells: Sequence[Tensor]

    @classmethod
    def of(
        cls,
        one: Pass,
        first: Int64[np.ndarray, "sentences"],
        start: Int64[np.ndarray, "sentences_and_one"],
        cells: Sequence[Tensor],
        device: torch.device,
    ) -> "_Batch":
        """Those of a pass."""
        to = [(int(start[number]), int(start[number + 1] - start[number])) for number in one.sentences]
        rows = np.repeat(np.arange(len(to)), [n for _, n in to])
        begins = [np.arange(n) + first[number] + one.first for number, (_, n) in zip(one.sentences, to, strict=True)]
        columns = np.concatenate(begins)
        return cls((torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)), to, cells)

    def write(self, kept: Rows, states: Tensor, cells: Tensor | None = None) -> None:
        """Keep what is wanted of a layer's states."""
        some = states[self.at] if cells is None else states[self.at][:, cells]
        values = some.float().clamp(-_LARGEST, _LARGEST).half().cpu().numpy()
        done = 0
        for row, n in self.to:
            kept.put(row, values[done : done + n])
            done += n


@contextmanager
def folder_for_states(folder: Path) -> Iterator[Path]:
    """A folder within another one that is gone afterwards, with what a process that was killed may have left there."""
    prefix = "states-"
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def states_at(
    model: Transformer,
    bos: Bos,
    sentences: Sequence[Int64[np.ndarray, "own_tokens"]],
    first: Int64[np.ndarray, "sentences"],
    cells: Sequence[Int64[np.ndarray, "some"]],
    *,
    inputs: bool,
    folder: Path | None = None,
    on_sentences: Callable[[int, int], None] = lambda *_: None,
) -> States:
    """The states at all positions of sentences from a first one on, sentence by sentence.

    Args:
        model: the model.
        bos: special tokens.
        sentences: own tokens of each.
        first: the first position of each that is kept.
        cells: rows of the cells that are kept, by layer.
        inputs: whether to keep what keys are compared with, too.
        folder: where the arrays lie as files; None: in memory.
        on_sentences: called with how many sentences are read, and how many there are.

    Cost: one pass of the model; on disk or in memory 2 bytes for each position and kept cell, or number of an input.
    """
    start = np.concatenate(([0], np.cumsum([len(one) for one in sentences] - first))).astype(np.int64)
    layers = range(model.facts.n_layers)

    def rows(name: str, width: int) -> Rows:
        return Rows(int(start[-1]), width, None if folder is None else folder / name)

    found = States(
        [rows(f"coefficients-{layer}", len(cells[layer])) for layer in layers],
        [rows(f"inputs-{layer}", model.facts.d_model) for layer in layers] if inputs else [],
    )
    chosen = [torch.from_numpy(some).to(model.device) for some in cells]
    n_read = 0
    with torch.inference_mode():
        for one in passes(model, sentences, bos, device=str(model.device)):
            batch = _Batch.of(one, first, start, chosen, model.device)
            with ExitStack() as watches:
                watches.enter_context(model.watch_coefficients(partial(_write_coefficients, batch, found)))
                if inputs:
                    keep = partial(_write_inputs, batch, found)
                    watches.enter_context(watch_inputs(model, len(one.sentences), keep))
                model.forward(one.token_ids, one.attention_mask)
            n_read += len(one.sentences)
            on_sentences(n_read, len(sentences))
    for kept in (*found.kept_coefficients, *found.kept_inputs):
        kept.close()
    return found


def _write_coefficients(batch: _Batch, found: States, place: int, m: Tensor) -> None:
    batch.write(found.kept_coefficients[place], m, batch.cells[place])


def _write_inputs(batch: _Batch, found: States, place: int, x: Tensor) -> None:
    batch.write(found.kept_inputs[place], x)
