"""Which batches go through the model together: one by one, or, where its weights are streamed, as many as the memory holds.

Batches of a wave go side by side, so that weights are brought once for all of them; between two blocks their states lie in the
host's memory. More than that holds are further waves, for which weights are brought again: for 27,000 tokens and more a wave
that costs less than states written to a disk and read again at every block (docs/performance.md).
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ffmem.index.resources import free_memory
from ffmem.index.scan.batches import Batch
from ffmem.index.scan.routes import Routes
from ffmem.index.state.places import Places
from ffmem.models.proof import TOLERANCE, difference
from ffmem.models.samples import SENTENCES
from ffmem.models.streaming.in_step import run_in_step
from ffmem.models.transformer import Transformer

_MOST = 256
"""Batches of a wave: each is a thread."""
_SHARE = 8
"""States of a wave take at most one part in so many of the memory that is free."""
_COPIES = 4
"""States that a batch has at a time: the stream, the embeddings that it began with, and room."""


class Now(threading.local):
    """The batch that runs: in each thread its own, as batches that go side by side are a thread each."""

    places: Places
    routes: Routes


class Waves:
    """How batches are taken through a model.

    Args:
        model: the model.
        in_step: whether batches may go through it side by side; None: it is tried first.
    """

    def __init__(self, model: Transformer, in_step: bool | None = None) -> None:
        self._model, self._in_step = model, in_step

    def of(self, batches: Iterable[Batch], width: Callable[[Batch], int]) -> Iterator[list[Batch]]:
        """Batches, in their order, in waves.

        Args:
            batches: the batches.
            width: positions of a row.
        """
        if self._in_step is None:
            self._in_step = may_go_in_step(self._model)
        most = _most_positions(self._model) if self._in_step else 0
        wave: list[Batch] = []
        n_positions = 0
        for batch in batches:
            size = len(batch.sentence_ids) * width(batch)
            if wave and (n_positions + size > most or len(wave) == _MOST):
                yield wave
                wave, n_positions = [], 0
            wave.append(batch)
            n_positions += size
        if wave:
            yield wave

    def run(self, wave: Sequence[Batch], read: Callable[[Batch], None], ended: Callable[[Batch], None]) -> None:
        """Run the model over the batches of a wave.

        Args:
            wave: the batches.
            read: runs the model over one.
            ended: told each that is done.
        """
        stream = self._model.stream
        if len(wave) == 1 or stream is None:
            for batch in wave:
                read(batch)
                ended(batch)
            return
        passes = [partial(read, batch) for batch in wave]
        run_in_step(self._model.module, stream.blocks, passes, lambda number: ended(wave[number]))


def _most_positions(model: Transformer) -> int:
    """Of the batches of a wave, by the memory that is free."""
    a_position: int = _COPIES * model.facts.d_model * getattr(torch, model.facts.dtype).itemsize
    return (free_memory() or 2**32) // _SHARE // a_position


def may_go_in_step(model: Transformer) -> bool:
    """Whether batches may go through a model side by side, and there is a reason to: tried on two inputs.

    They may not if the model keeps something of an input until it has read all of it, other than in what its modules hand
    on; then batches go one by one, and its weights are brought for each.
    """
    stream = model.stream
    if stream is None or stream.is_whole or not stream.blocks or model.batching.fresh:
        return False
    inputs = _two_inputs(model)
    alone: list[list[Tensor]] = [[] for _ in inputs]
    in_step: list[list[Tensor]] = [[] for _ in inputs]
    now = _Kept()

    def read(kept: list[list[Tensor]], number: int) -> None:
        now.kept = kept[number]
        model.forward(inputs[number])

    numbers = range(len(inputs))
    with torch.inference_mode(), model.watch_coefficients(lambda _, m: now.kept.append(m.float().cpu().clone())):
        for number in numbers:
            read(alone, number)
        run_in_step(model.module, stream.blocks, [partial(read, in_step, number) for number in numbers], lambda _: None)
    limit = TOLERANCE[model.facts.dtype] / 5
    return all(
        difference(one, other) <= limit
        for ours, theirs in zip(in_step, alone, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    )


class _Kept(threading.local):
    """Where the coefficients of the pass that runs go: see `Now`."""

    kept: list[Tensor]


def _two_inputs(model: Transformer) -> list[Tensor]:
    """Inputs of different lengths, without padding."""
    n_rows = model.n_embedded or 2**32
    limit = model.facts.max_length or 2**31
    found = []
    for text, n in zip(SENTENCES, (4, 9), strict=False):
        ids = [one for one in model.tokenizer.backend_tokenizer.encode(text).ids if one < n_rows]
        found.append(torch.tensor([(ids or [0]) * 9], device=model.device)[:, : min(n, limit - 1)])
    return found
