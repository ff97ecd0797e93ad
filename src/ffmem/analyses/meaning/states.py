"""One pass of a model over a sample: coefficients of some cells, and what all keys are compared with, kept on disk."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from ffmem.analyses.prefixes import passes
from ffmem.models.tracing import watch_inputs
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class States:
    """What a model has at some positions, layer by layer, as float16 (the largest finite one for those beyond)."""

    kept_coefficients: Sequence[np.ndarray]
    """(positions, some cells) of each layer."""
    kept_inputs: Sequence[np.ndarray]
    """(positions, d_model) of each layer; none at all if they were not asked for."""

    def coefficients(self, layer: int) -> Float32[np.ndarray, "n cells"]:
        """Of the chosen cells of the layer at a place."""
        return self.kept_coefficients[layer].astype(np.float32)

    def inputs(self, layer: int) -> Float32[np.ndarray, "n d_model"]:
        """x: what keys are compared with."""
        return self.kept_inputs[layer].astype(np.float32)


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
    n, layers = int(start[-1]), range(model.facts.n_layers)

    def room(name: str, width: int) -> np.ndarray:
        if folder is None:
            return np.zeros((n, width), dtype=np.float16)
        return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, (n, width))

    found = States(
        [room(f"coefficients-{layer}", len(cells[layer])) for layer in layers],
        [room(f"inputs-{layer}", model.facts.d_model) for layer in layers] if inputs else [],
    )
    chosen = [torch.from_numpy(rows).to(model.device) for rows in cells]
    n_read = 0
    with torch.inference_mode():
        for one in passes(model, sentences, bos, device=str(model.device)):
            lengths = np.array([len(sentences[number]) - first[number] for number in one.sentences])
            row = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(model.device)
            within = np.concatenate([np.arange(length) for length in lengths])
            begin = np.repeat([first[number] + one.first for number in one.sentences], lengths)
            column = torch.from_numpy(begin + within).to(model.device)
            to = np.repeat([start[number] for number in one.sentences], lengths) + within

            def keep(
                arrays: Sequence[np.ndarray],
                place: int,
                states: Tensor,
                at: tuple[Tensor, Tensor] = (row, column),
                to: np.ndarray = to,
                rows: Sequence[Tensor] | None = None,
            ) -> None:
                some = states[at] if rows is None else states[at][:, rows[place]]
                arrays[place][to] = some.float().clamp(-_LARGEST, _LARGEST).half().cpu().numpy()

            def keep_coefficients(place: int, m: Tensor, keep: Callable[..., None] = keep) -> None:
                keep(found.kept_coefficients, place, m, rows=chosen)

            def keep_inputs(place: int, x: Tensor, keep: Callable[..., None] = keep) -> None:
                keep(found.kept_inputs, place, x)

            with ExitStack() as watches:
                watches.enter_context(model.watch_coefficients(keep_coefficients))
                if inputs:
                    watches.enter_context(watch_inputs(model, len(one.sentences), keep_inputs))
                model.forward(one.token_ids, one.attention_mask)
            n_read += len(one.sentences)
            on_sentences(n_read, len(sentences))
    return found
