"""The text of shards as model input."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Integer, UInt16, UInt32, UInt64
from torch import Tensor

from ffmem.index.scan.batches import Batch, Shard, plan_batches
from ffmem.index.state.places import Places, to_device
from ffmem.index.text.text_spool import INDEXED_SPOOL
from ffmem.index.text.token_spool import read_spooled, tokens_path
from ffmem.models.inputs import padded_rows
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.store.files import map_arrays
from ffmem.store.strata import sample_keys, sentence_digests

BATCHES_A_BUDGET = 32
"""On a GPU, as many more batches are as dear as a full batch of padding: what launching one takes there."""


@dataclass(frozen=True)
class Tokens:
    """Consecutive sentences of an index as tokens."""

    first_sentence: int
    """Id of the first of them."""
    sentence_start: UInt64[np.ndarray, "n_offsets"]
    """Token index of the first token of each, and one entry after the last; token indices are those of the index."""
    token_id: UInt32[np.ndarray, "n_tokens"] | UInt16[np.ndarray, "n_tokens"]
    """Their tokens."""
    context: Integer[np.ndarray, "n_sentences"] | None
    """How many tokens at the start of each do not compete; None: none of any."""

    def of(self, shard: Shard) -> "Tokens":
        """Those of a shard alone, not copied."""
        first, end = shard.first_sentence - self.first_sentence, shard.end_sentence - self.first_sentence
        starts = self.sentence_start[first : end + 1]
        begin = int(self.sentence_start[0])
        return Tokens(
            shard.first_sentence,
            starts,
            self.token_id[int(starts[0]) - begin : int(starts[-1]) - begin],
            None if self.context is None else self.context[first:end],
        )

    def copied(self) -> "Tokens":
        """The same in memory, to be sent elsewhere."""
        context = None if self.context is None else np.array(self.context)
        return Tokens(self.first_sentence, np.array(self.sentence_start), np.array(self.token_id), context)

    def start(self, sentence_id: int) -> int:
        """Token index of the first token of a sentence."""
        return int(self.sentence_start[sentence_id - self.first_sentence])

    def ids(self, sentence_id: int) -> np.ndarray:
        """The tokens of a sentence."""
        begin = int(self.sentence_start[0])
        return self.token_id[self.start(sentence_id) - begin : self.start(sentence_id + 1) - begin]

    def n_context(self, sentence_id: int) -> int:
        """How many tokens at the start of a sentence do not compete."""
        return 0 if self.context is None else int(self.context[sentence_id - self.first_sentence])


def read_tokens(folder: Path) -> Tokens:
    """All sentences of the text in a folder, memory-mapped."""
    arrays = map_arrays(tokens_path(folder))
    return Tokens(0, arrays["sentence_start"], arrays["token_id"], arrays.get("context"))


def read_written(folder: Path, first_sentence: int, n_sentences: int, first_token: int) -> Tokens | None:
    """Indexed sentences of a text that is still being written; None if it has just been finished.

    Args:
        folder: of the text.
        first_sentence: id of the first.
        n_sentences: how many.
        first_token: token index of the first token of the first.
    """
    try:
        lengths, context, token_id = read_spooled(folder / INDEXED_SPOOL, first_sentence, n_sentences, first_token)
    except FileNotFoundError:
        return None
    starts = np.concatenate(([0], lengths.cumsum())).astype(np.uint64) + np.uint64(first_token)
    return Tokens(first_sentence, starts, token_id, context if context.any() else None)


class ShardText:
    """Text as model input; reads nothing but the shard asked for.

    Args:
        tokens: all sentences of an index, or those of the shards that are asked for.
        model: whose input it is to be.
        options: how sentences share batches.
        device: where the input is to be, by default where the options have the model.
    """

    def __init__(self, tokens: Tokens, model: Transformer, options: IndexOptions, device: str | None = None) -> None:
        self._tokens, self._options = tokens, options
        self._model, self._device = model, device or options.device
        self._prefix, self._suffix = model.special_tokens(options.bos)

    def batches(self, shard: Shard, batch_tokens: int | None = None) -> Iterator[Batch]:
        """The batches of a shard, of the options' size or another."""
        tokens = self._tokens.of(shard)
        n_special = len(self._prefix) + len(self._suffix)
        context = None if tokens.context is None else tokens.context.astype(np.int64)
        lengths = np.diff(tokens.sentence_start.astype(np.int64))
        budget = batch_tokens or self._options.batch_tokens
        price = 0 if self._options.device == "cpu" else budget // BATCHES_A_BUDGET
        return plan_batches(shard, lengths, n_special, budget, context, price, self._model.batching.rows)

    def width(self, batch: Batch) -> int:
        """Positions of a batch, special tokens included."""
        return len(self._prefix) + batch.max_length + len(self._suffix)

    def inputs(self, batch: Batch) -> tuple[Int[Tensor, "batch positions"], Int[Tensor, "batch positions"]]:
        """Token ids padded on the right, and the attention mask, which stays in the host's memory until a model needs it."""
        sentences = [self._tokens.ids(sentence_id) for sentence_id in batch.sentence_ids]
        ids, mask = padded_rows(sentences, self._prefix, self._suffix, self._model.pad_id)
        return to_device(ids, self._device), torch.from_numpy(mask)

    def places(self, batch: Batch) -> Places:
        """Which positions of a batch compete: the sentences' own tokens after the first few."""
        skip = self.first_competing(batch.sentence_ids[0])  # the same for all
        lengths = np.repeat([run.length for run in batch.runs], [run.stop - run.start for run in batch.runs])
        starts = np.array([self._tokens.start(sentence_id) for sentence_id in batch.sentence_ids], dtype=np.int64)
        tokens = (starts + skip)[:, None] + np.arange(max(batch.max_length - skip, 0))
        keys = self._sample_keys(batch, skip, tokens) if self._options.sample else None
        return Places(len(self._prefix) + skip, lengths - skip, tokens, keys)

    def _sample_keys(
        self, batch: Batch, skip: int, tokens: Int[np.ndarray, "sentences competing"]
    ) -> Int[np.ndarray, "sentences competing"]:
        """With what the positions of a batch compete for the sample of a cell."""
        sentences = [self._tokens.ids(sentence_id) for sentence_id in batch.sentence_ids]
        ends = np.cumsum([len(ids) for ids in sentences])
        digests = sentence_digests(np.concatenate(sentences), ends, self._options.sample_seed)
        positions = np.broadcast_to(np.arange(skip, skip + tokens.shape[1]), tokens.shape)
        return sample_keys(np.broadcast_to(digests[:, None], tokens.shape), positions, tokens)

    def first_competing(self, sentence_id: int) -> int:
        """The first position of a sentence that competes."""
        return max(self._options.skip_first, self._tokens.n_context(sentence_id))

    def coefficients(self, batch: Batch) -> list[list[np.ndarray]]:
        """Coefficients of every layer at the sentences' own positions: [row][layer] -> (own tokens, d_ff), float32.

        Those of dictionaries stand behind those of the model.
        """
        n_layers = len(self._model.all_cells.layers)
        layers: dict[int, np.ndarray] = {}

        def keep(layer: int, m: Tensor) -> None:
            layers[layer] = m.float().cpu().numpy().copy()

        with torch.inference_mode(), self._model.watch_coefficients(keep, layers=range(n_layers)):
            self._model.forward(*self.inputs(batch))
        return self._rows(batch, [layers[place] for place in range(n_layers)])

    def open_gates(self, batch: Batch) -> list[list[np.ndarray]]:
        """Where the gates of gated cells are above 0: [row][layer] -> (own tokens, d_ff), bool."""
        layers: list[np.ndarray] = []
        with (
            torch.inference_mode(),
            self._model.watch_gated_coefficients(lambda _layer, _m, gates: layers.append(gates.cpu().numpy().copy())),
        ):
            self._model.forward(*self.inputs(batch))
        return self._rows(batch, layers)

    def _rows(self, batch: Batch, layers: list[np.ndarray]) -> list[list[np.ndarray]]:
        """What layers have at the sentences' own positions: [row][layer]."""
        first = len(self._prefix)
        return [
            [layer[row, first : first + run.length] for layer in layers]
            for run in batch.runs
            for row in range(run.start, run.stop)
        ]
