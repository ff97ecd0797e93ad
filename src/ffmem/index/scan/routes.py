"""Which positions of a batch each expert of a layer sees."""

import numpy as np
from jaxtyping import Int

from ffmem.index.state.places import Places


class Routes:
    """Which positions of a batch an expert sees, sentence by sentence.

    Args:
        places: the positions of the batch that compete.
        width: positions of the batch, padding and special tokens included.
    """

    def __init__(self, places: Places, width: int) -> None:
        n_rows = len(places.lengths)
        self._token = np.full((n_rows, width), -1, dtype=np.int64)
        self._key = None if places.sample_keys is None else self._token.copy()
        for row, length in enumerate(places.lengths.tolist()):
            end = places.first_position + max(length, 0)
            self._token[row, places.first_position : end] = places.tokens[row, : max(length, 0)]
            if self._key is not None and places.sample_keys is not None:
                self._key[row, places.first_position : end] = places.sample_keys[row, : max(length, 0)]
        self._width = width

    def of(self, positions: Int[np.ndarray, "routed"]) -> tuple[Int[np.ndarray, "sentences longest"], Places]:
        """Rows of an expert's coefficients, a row for each sentence that it sees, filled up with row 0; and their places.

        Args:
            positions: the positions of the flattened batch that are routed to the expert, ascending.
        """
        sentences, columns = np.divmod(positions, self._width)
        tokens = self._token[sentences, columns]
        kept = np.flatnonzero(tokens >= 0)
        _, first, lengths = np.unique(sentences[kept], return_index=True, return_counts=True)
        longest = np.argsort(-lengths, kind="stable")
        first, lengths = first[longest], lengths[longest].astype(np.int64)
        offsets = np.arange(lengths.max(initial=0))
        inside = offsets < lengths[:, None]
        rows = (
            np.where(inside, kept[np.where(inside, first[:, None] + offsets, 0)], 0)
            if len(kept)
            else np.empty((0, 0), int)
        )
        keys = None if self._key is None else self._key[sentences, columns][rows]
        return rows, Places(0, lengths, tokens[rows], keys)
