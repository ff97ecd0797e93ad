"""Which slots of a list hold tokens of a few sentences, for lists that have no order by token on disk."""

import numpy as np

from ffmem.store.reader import Index

_AT_ONCE = 1 << 20
"""Slots looked at at a time."""


class DrawnSlots:
    """Of one array of token indices of every layer, the slots with tokens of some sentences; a layer is looked at once.

    Args:
        index: whose layers have the array.
        name: of the array.
        sentence_ids: the sentences.

    Cost: memory for the slots that are found, in a layer when it is first asked for.
    """

    def __init__(self, index: Index, name: str, sentence_ids: np.ndarray) -> None:
        starts, ids = index.text.sentence_start, np.unique(np.asarray(sentence_ids, dtype=np.int64))
        self._index, self._name = index, name
        self._firsts, self._ends = starts[ids].astype(np.int64), starts[ids + 1].astype(np.int64)
        self._found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def within(self, layer: int, first: int, end: int) -> np.ndarray:
        """The slots of a layer with tokens from ``first`` up to ``end``, which one of the sentences has; ascending.

        As places in the array, however many axes it has.
        """
        if layer not in self._found:
            self._found[layer] = self._look(getattr(self._index.layer(layer), self._name).reshape(-1))
        tokens, slots = self._found[layer]
        low, high = np.searchsorted(tokens, (first, end))
        return np.sort(slots[low:high])

    def _look(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, slots), by token."""
        tokens, slots = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for at in range(0, len(stored) if len(self._ends) else 0, _AT_ONCE):
            some = stored[at : at + _AT_ONCE].astype(np.int64)
            of_sentence = np.searchsorted(self._ends, some, side="right")
            found = np.flatnonzero(self._firsts[np.minimum(of_sentence, len(self._ends) - 1)] <= some)
            found = found[of_sentence[found] < len(self._ends)]
            tokens.append(some[found])
            slots.append(at + found)
        of_all, at_all = np.concatenate(tokens), np.concatenate(slots)
        order = np.argsort(of_all, kind="stable")
        return of_all[order], at_all[order]
