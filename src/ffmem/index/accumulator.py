"""Everything one pass over a corpus learns about every cell: trigger examples and statistics. Knows no model.

An accumulator is cumulative over the shards it has seen; it is saved between shards, with the list of those it covers.
Merging two is associative and commutative, bit for bit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import StoreError
from ffmem.index.files import atomic_write
from ffmem.index.statistics import LayerStatistics
from ffmem.index.topk import TopT, merge
from ffmem.options import PerSentence


@dataclass(frozen=True)
class Shape:
    """Sizes of an accumulator; all layers are alike."""

    n_layers: int
    d_ff: int
    n_signs: int
    """2 where the sign of a coefficient is a gauge (gated cells), else 1."""
    top: int
    """Triggers a cell and sign."""
    per_sentence: PerSentence
    """"1": only a sentence's best position competes; "all": every position."""


@dataclass(frozen=True)
class Span:
    """Where the sentences of equal length of one batch lie in a tensor of coefficients."""

    rows: slice
    """Rows of the batch."""
    positions: slice
    """Positions that compete."""
    first_tokens: Int[Tensor, "sentences"]
    """Token index of each sentence's first competing position, int64."""


class Accumulator:
    """Trigger lists and statistics of every cell, over the shards seen so far.

    Cost: about n_layers x d_ff x n_signs x (16 x top + 256) bytes.
    """

    def __init__(self, shape: Shape, device: torch.device | str = "cpu") -> None:
        self.shape = shape
        self.covered: set[int] = set()
        """Shards this accumulator has seen whole."""
        self._statistics = [LayerStatistics(shape.d_ff, shape.n_signs, device) for _ in range(shape.n_layers)]
        self._lists = [[TopT(shape.d_ff, shape.top, device) for _ in range(shape.n_signs)] for _ in self._statistics]

    def observe(
        self, layer: int, coefficients: Float[Tensor, "batch positions d_ff"], spans: Sequence[Span]
    ) -> None:
        """Count the coefficients of one layer for one batch, padding left out."""
        coefficients = coefficients.float()
        views = [_View(coefficients[span.rows, span.positions], span.first_tokens) for span in spans]
        views = [view for view in views if view.values.shape[1]]
        if not views:
            return
        extremes = [self._statistics[layer].update(view.values) for view in views]
        for sign, lists in enumerate(self._lists[layer]):
            if self.shape.per_sentence == "1":
                best = torch.cat([-minima if sign else maxima for maxima, minima in extremes])
                lists.update(best, _BestToken(views, negative=sign == 1))
            else:
                for view in views:
                    flat = view.values.reshape(-1, view.values.shape[2])
                    lists.update(-flat if sign else flat, view.token)

    def first_not_finite(self) -> tuple[int, int] | None:
        """(layer, index) of a cell that met NaN or infinity in the open shard, or None."""
        for layer, statistics in enumerate(self._statistics):
            index = statistics.first_not_finite()
            if index is not None:
                return layer, index
        return None

    def close_shard(self, shard_id: int) -> None:
        """Mark a shard as seen whole."""
        for statistics in self._statistics:
            statistics.close_shard()
        self.covered.add(shard_id)

    def save(self, path: Path, job: str) -> None:
        """Write the state atomically. ``job`` says what it is a state of, and is asked for when it is loaded."""
        arrays = {f"L{layer}.{name}": array for layer in range(self.shape.n_layers) for name, array in self.layer(layer).items()}
        atomic_write(path, save(arrays, metadata={"job": job, "covered": json.dumps(sorted(self.covered))}))

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """The state of one layer as plain arrays: what `save` writes and `merge_layers` joins."""
        statistics = self._statistics[layer]
        return {
            "keys": torch.stack([lists.keys() for lists in self._lists[layer]]).cpu().numpy(),
            "sum": statistics.sum.parts.numpy(),
            "square_sum": statistics.square_sum.parts.numpy(),
            "n_active": statistics.n_active.numpy(),
            "minimum": statistics.minimum.cpu().numpy(),
            "maximum": statistics.maximum.cpu().numpy(),
            "histogram": statistics.histogram.cpu().numpy(),
            "counts": np.array([statistics.n_tokens, statistics.n_sentences]),
        }

    def load(self, path: Path) -> None:
        """Go on from a saved state."""
        with safe_open(path, framework="pt") as file:
            self.covered = set(json.loads(file.metadata()["covered"]))
            for layer, (statistics, lists) in enumerate(zip(self._statistics, self._lists, strict=True)):
                state = {name: file.get_tensor(f"L{layer}.{name}") for name in _FIELDS}
                for one, keys in zip(lists, state["keys"], strict=True):
                    one.load(keys)
                statistics.sum.parts.copy_(state["sum"])
                statistics.square_sum.parts.copy_(state["square_sum"])
                for name in ("n_active", "minimum", "maximum", "histogram"):
                    getattr(statistics, name).copy_(state[name])
                statistics.n_tokens, statistics.n_sentences = state["counts"].tolist()


_FIELDS = ("keys", "sum", "square_sum", "n_active", "minimum", "maximum", "histogram", "counts")


@dataclass(frozen=True)
class _View:
    """The competing coefficients of the sentences of one span."""

    values: Float[Tensor, "sentences positions d_ff"]
    first_tokens: Int[Tensor, "sentences"]

    def token(self, rows: Int[Tensor, "hits"], _cells: Int[Tensor, "hits"]) -> Int[Tensor, "hits"]:
        """Token indices of rows of the view flattened over sentences and positions."""
        length = self.values.shape[1]
        return self.first_tokens[rows // length] + rows % length

    def best_token(
        self, rows: Int[Tensor, "hits"], cells: Int[Tensor, "hits"], negative: bool
    ) -> Int[Tensor, "hits"]:
        """Token indices of the first positions where sentences reach their maximum (minimum) for cells."""
        n_sentences, _, d_ff = self.values.shape
        if len(rows) > _DENSE * n_sentences * d_ff:  # the beginning of a build: cheaper for all than one by one
            position = (self.values.min(1) if negative else self.values.max(1)).indices[rows, cells]
        else:
            candidates = self.values.transpose(1, 2)[rows, cells]
            if candidates.is_cuda:
                position = candidates.argmin(1) if negative else candidates.argmax(1)
            else:  # numpy's is faster
                array = candidates.numpy()
                position = torch.from_numpy(array.argmin(1) if negative else array.argmax(1))
        return self.first_tokens[rows] + position


_DENSE = 0.3
"""Share of sentence-cell pairs above which all positions are looked up at once."""


class _BestToken:
    """Looks up token indices for rows that run through several views."""

    def __init__(self, views: Sequence[_View], negative: bool) -> None:
        self._views, self._negative = views, negative

    def __call__(self, rows: Int[Tensor, "hits"], cells: Int[Tensor, "hits"]) -> Int[Tensor, "hits"]:
        ends = np.cumsum([len(view.first_tokens) for view in self._views])
        cuts = torch.searchsorted(rows, torch.from_numpy(ends).to(rows.device)).tolist()  # rows come in order
        found, start = [], 0
        for view, first_row, cut in zip(self._views, [0, *ends.tolist()], cuts, strict=False):
            if cut > start:
                found.append(view.best_token(rows[start:cut] - first_row, cells[start:cut], self._negative))
            start = cut
        return torch.cat(found)


def read_covered(path: Path, job: str) -> set[int] | None:
    """The shards that a saved state covers, or None if it is damaged or the state of another job."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("job") != job:
                return None
            return set(json.loads(metadata["covered"]))
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def merge_layers(paths: Sequence[Path], layer: int) -> dict[str, np.ndarray]:
    """One layer of several saved states, merged. They must cover different shards.

    Cost: the memory of one layer, twice.
    """
    merged: dict[str, np.ndarray] = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                state = {name: file.get_tensor(f"L{layer}.{name}") for name in _FIELDS}
        except (SafetensorError, OSError) as error:
            raise StoreError(
                f"the state file {path} cannot be read: {error}",
                "Expected a checkpoint of this build",
                f"Delete {path} and run the same `ffmem index` command again: its shards are read anew",
            ) from error
        merged = {name: _JOIN[name](merged[name], state[name]) for name in _FIELDS} if merged else state
    return merged


def _merge_keys(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    pairs = zip(torch.from_numpy(first), torch.from_numpy(second), strict=True)
    return torch.stack([merge(a, b) for a, b in pairs]).numpy()


_JOIN = {
    "keys": _merge_keys,
    "sum": np.add,
    "square_sum": np.add,
    "n_active": np.add,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "histogram": np.add,
    "counts": np.add,
}
