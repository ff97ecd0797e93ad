"""From ranges of tokens to the triggers in them, through the list that every layer stores."""

import numpy as np

from ffmem.store.reader import Index


def triggers_within(
    index: Index, place: int, firsts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(number of the range, row of the cell, flat slot) of every trigger of a layer whose token lies in a range.

    Args:
        index: an opened index.
        place: of the layer.
        firsts: first token index of each range.
        ends: the token index after its last.

    Cost: a binary search, of all ranges at once.
    """
    arrays = index.layer(place)
    slots, tokens = arrays.slot_by_token, arrays.trigger_token.reshape(-1)
    starts = _bisect(slots, tokens, firsts)
    counts = _bisect(slots, tokens, ends) - starts
    which = np.repeat(np.arange(len(firsts)), counts)
    offsets = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = slots[np.repeat(starts, counts) + offsets].astype(np.int64)
    return which, found // (index.n_signs * index.top), found


def n_cells_of_sentences(index: Index, sentence_ids: np.ndarray) -> np.ndarray:
    """How many cells have each of some sentences among their triggers."""
    starts = index.text.sentence_start
    firsts, ends = (starts[sentence_ids + step].astype(np.int64) for step in (0, 1))
    total = np.zeros(len(sentence_ids), dtype=np.int64)
    for place in range(index.n_layers):
        which, rows, _ = triggers_within(index, place, firsts, ends)
        pairs = np.unique(which * index.cells.layers[place].n_cells + rows)  # a cell may have it in both lists
        total += np.bincount(pairs // index.cells.layers[place].n_cells, minlength=len(total))
    return total


def _bisect(slots: np.ndarray, tokens: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted token, the first place in ``slots``, which lists slots by token, whose token is not below it."""
    low = np.zeros(len(wanted), dtype=np.int64)
    high = np.full(len(wanted), len(slots), dtype=np.int64)
    for _ in range(len(slots).bit_length()):
        middle = (low + high) // 2
        below = (tokens[slots[np.minimum(middle, len(slots) - 1)]] < wanted) & (middle < high)
        low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
    return low
