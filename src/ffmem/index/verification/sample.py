"""Checks the sample of positions of every cell: against its own definition, and against the model. Knows no model itself."""

from collections.abc import Iterator

import numpy as np

from ffmem.index.inherit import keys_of_sample
from ffmem.index.verification.drawn_slots import DrawnSlots
from ffmem.store.arrays import LayerArrays
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index
from ffmem.store.strata import N_ACTIVE, bins_of, strata_of


def wrong_sample(index: Index, layer: int) -> Iterator[str]:
    """What is wrong with the sample of a layer, also where it must agree with other arrays."""
    arrays, cells = index.layer(layer), index.cells.layers[layer]
    tokens, coefficients, counts = arrays.sample_token, arrays.sample_coefficient, arrays.sample_count
    filled = tokens != NO_TOKEN
    n_positions = np.repeat(arrays.counts[:, 0], cells.group_size)
    if (counts < 0).any() or (counts.sum(1) != n_positions).any():
        yield "the strata of a cell do not count each position once"
    if (counts[:, :N_ACTIVE].sum(1) != arrays.n_active).any():
        yield "the strata of a cell do not count its positive coefficients"
    if (filled.sum(2) != np.minimum(counts, tokens.shape[2])).any():
        yield "a stratum keeps more or fewer positions than it can"
    if (tokens[filled] >= index.manifest.counts.n_tokens).any():
        yield "a position lies past the last token"
        return
    starts = index.text.sentence_start
    for first, end in index.manifest.excluded_ranges:
        if ((tokens >= starts[first]) & (tokens < starts[end])).any():
            yield f"a position lies in sentences {first} to {end - 1}, which were left out"
    keys = keys_of_sample(index, tokens)
    if (np.diff(keys, axis=2) > 0).any():
        yield "a stratum is not in the order of its lots"
    if _repeats(tokens):
        yield "a position stands twice in the sample of a cell"
    if (coefficients[~filled] != 0).any():
        yield "an empty slot has a coefficient"
    if (strata_of(coefficients, largest_of(arrays)[..., None]) != np.arange(tokens.shape[1])[:, None])[filled].any():
        yield "a coefficient lies in another stratum than its size says"
    with np.errstate(invalid="ignore"):
        of_signs = (bins_of(largest_of(arrays)) >= 0).T
    if (of_signs != (counts[:, np.arange(of_signs.shape[1]) * N_ACTIVE] > 0)).any():
        yield "the stratum of a cell's largest coefficient is empty, or there is one without such a coefficient"


def largest_of(arrays: LayerArrays) -> np.ndarray:
    """Of each sign the largest coefficient times this sign, (signs, cells)."""
    return np.stack((arrays.maximum, -arrays.minimum)[: arrays.sizes["n_signs"]])


def _repeats(tokens: np.ndarray) -> bool:
    in_order = np.sort(tokens.reshape(len(tokens), -1), axis=1)
    return bool(((np.diff(in_order, axis=1) == 0) & (in_order[:, 1:] != NO_TOKEN)).any())


class SampleTally:
    """Compares recomputed sentences with the stored samples.

    Args:
        index: built with a sample.
        limit: largest error that counts as rounding, as a share of the cell's largest coefficient.
        floor: as a share of the largest of the layer, below which no cell's largest is taken to be.
        drawn: the sentences that will be checked.
    """

    def __init__(self, index: Index, limit: float, floor: float, drawn: np.ndarray) -> None:
        self._index, self._limit, self._floor = index, limit, floor
        self._slots = DrawnSlots(index, "sample_token", drawn)
        self._last: dict[int, np.ndarray] = {}
        self._counted = [np.zeros_like(index.layer(layer).sample_count) for layer in range(index.n_layers)]
        self.n_positions = 0
        """Stored positions that were recomputed."""
        self.problems: list[str] = []

    def check(self, sentence_id: int, layers: list[np.ndarray], skip: int) -> None:
        """Take the coefficients of one sentence, (own tokens, cells) for each layer; the first ``skip`` do not compete."""
        first, end = self._index.text.sentence_range(sentence_id)
        positions = np.arange(first + skip, end, dtype=np.uint32)
        if not len(positions):
            return
        keys = keys_of_sample(self._index, positions)
        for layer, coefficients in enumerate(layers):
            self._check_layer(sentence_id, layer, coefficients[skip:].T, keys, positions)

    def _check_layer(
        self, sentence_id: int, layer: int, found: np.ndarray, keys: np.ndarray, positions: np.ndarray
    ) -> None:
        """``found``: (cells, positions)."""
        arrays, cells = self._index.layer(layer), self._index.cells.layers[layer]
        tokens = arrays.sample_token
        here = self._slots.within(layer, int(positions[0]), int(positions[-1]) + 1)
        rows, strata, slots = np.unravel_index(here, tokens.shape)
        stored = arrays.sample_coefficient[rows, strata, slots]
        at = tokens[rows, strata, slots].astype(np.int64) - int(positions[0])
        scale = np.maximum(np.abs(arrays.minimum), np.abs(arrays.maximum))
        scale = np.maximum(scale, self._floor * scale.max(initial=0.0))
        error = np.abs(found[rows, at] - stored)
        self.n_positions += len(rows)
        for worst in np.flatnonzero(~(error <= self._limit * scale[rows]))[:1].tolist():
            cell = self._index.cells.cell_id(layer, int(rows[worst]))
            self.problems.append(
                f"{cell}: the coefficient of its sample in sentence {sentence_id} is stored as {stored[worst]:.6g}, and the "
                f"model gives {found[rows[worst], at[worst]]:.6g}"
            )
        if cells.n_groups > 1:
            return  # what an expert did not see is not known here
        last = self._last_keys(layer)
        is_exact = bool(stored.any()) and not error.any()
        clear = self._clear_strata(arrays, found, scale * (0 if is_exact else self._limit))
        for stratum in range(tokens.shape[1]):
            inside = clear == stratum
            self._counted[layer][:, stratum] += inside.sum(1)
            due = inside & (keys > last[:, stratum, None])
            due[rows[strata == stratum], at[strata == stratum]] = False
            for row, position in np.argwhere(due)[:1].tolist():
                self.problems.append(
                    f"{self._index.cells.cell_id(layer, row)}: position {position} of those that compete in sentence "
                    f"{sentence_id} is not in its sample, whose stratum {stratum} keeps later lots"
                )

    def _last_keys(self, layer: int) -> np.ndarray:
        """What a position has to beat, (cells, strata)."""
        if layer not in self._last:
            self._last[layer] = keys_of_sample(self._index, self._index.layer(layer).sample_token[:, :, -1])
        return self._last[layer]

    def _clear_strata(self, arrays: LayerArrays, found: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        """The stratum of each coefficient, -1 where rounding, so much for each cell, may have put it into another."""
        slack = rounding[:, None].astype(np.float32)
        low, high = (strata_of(found + side * slack, largest_of(arrays)) for side in (np.float32(-1), np.float32(1)))
        return np.where(low == high, low, -1)

    def finish(self) -> list[str]:
        """What was wrong, also where a stratum counts fewer positions than these sentences alone have there."""
        for layer, counted in enumerate(self._counted):
            for row, stratum in np.argwhere(counted > self._index.layer(layer).sample_count)[:1].tolist():
                self.problems.append(
                    f"{self._index.cells.cell_id(layer, row)}: stratum {stratum} of its sample counts fewer positions than the "
                    "model gives"
                )
        return self.problems
