"""The units of an index, block by block: their samples, what their values promote, and what is certain of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.errors import StoreError
from ffmem.names.rules.firing import Sampled
from ffmem.names.rules.text import Text, folded
from ffmem.names.rules.value_side import N_PROMOTED
from ffmem.store.arrays import total_of
from ffmem.store.files import damaged
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index
from ffmem.store.strata import N_ACTIVE

BLOCK = 1024
"""Units that are looked at together."""
CERTAIN = ("", "dead", "always", "rare")
"""What is counted rather than estimated, by number; 0: nothing of it."""
_ALWAYS_SHARE, _ALWAYS_VARIATION = 0.95, 0.5
_RARE_POSITIONS = 10
"""A unit with fewer positions above 0 has too few to name."""


@dataclass(frozen=True)
class Block:
    """Some units of a layer, all of one sign."""

    place: int
    """Of the layer in the index."""
    sign: int
    rows: np.ndarray
    """Of the layer's arrays."""


def blocks(index: Index, rows_of: dict[int, np.ndarray]) -> Iterator[Block]:
    """The units of rows of layers, `BLOCK` at most at a time."""
    for place, rows in rows_of.items():
        for sign in (1, -1)[: index.n_signs]:
            for first in range(0, len(rows), BLOCK):
                yield Block(place, sign, rows[first : first + BLOCK])


def sampled(index: Index, text: Text, block: Block) -> Sampled:
    """What was sampled of the units' coefficients above 0, times their sign.

    Raises:
        StoreError: a sample contradicts its counts, or tells of a position that is not there.
    """
    arrays = index.layer(block.place)
    strata = slice(0, N_ACTIVE) if block.sign > 0 else slice(N_ACTIVE, 2 * N_ACTIVE)
    token = arrays.sample_token[block.rows, strata]
    count = arrays.sample_count[block.rows, strata]
    coefficient = arrays.sample_coefficient[block.rows, strata] * np.float32(block.sign)
    filled = token != NO_TOKEN
    kept = filled.sum(-1)
    if (count < 0).any() or (kept != np.minimum(count, token.shape[2])).any():
        raise damaged(arrays.path, "a sample contradicts its counts")
    if (token[filled] >= len(text.token)).any() or not np.isfinite(coefficient[filled]).all():
        raise damaged(arrays.path, "a sample has a position or a coefficient that cannot be")
    weight = np.where(filled, (count / np.maximum(kept, 1))[..., None], 0.0)
    n = len(block.rows)
    return Sampled(token.reshape(n, -1), coefficient.reshape(n, -1), weight.reshape(n, -1))


def certain(index: Index, block: Block) -> np.ndarray:
    """(units,) number of what is certain of each, of `CERTAIN`."""
    arrays = index.layer(block.place)
    rows = block.rows
    strata = slice(0, N_ACTIVE) if block.sign > 0 else slice(N_ACTIVE, 2 * N_ACTIVE)
    count = arrays.sample_count[rows]
    n_active, n_all = count[:, strata].sum(1), np.maximum(count.sum(1), 1)
    mean, square = (total_of(parts[:, rows]) / n_all for parts in (arrays.sum, arrays.square_sum))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    steady = deviation < _ALWAYS_VARIATION * np.abs(mean)
    found = np.where(n_active < _RARE_POSITIONS, 3, 0)
    found = np.where((n_active > _ALWAYS_SHARE * n_all) & steady, 2, found)
    return np.where(n_active == 0, 1, found)


def promoted(index: Index, text: Text, block: Block) -> np.ndarray:
    """(units, `N_PROMOTED`) numbers of the tokens that the values push up where the units fire, -1 for those not in the text.

    Raises:
        StoreError: a token is none of the vocabulary.
    """
    ids = promoted_ids(index, block)
    place = np.minimum(np.searchsorted(text.token_ids, ids), max(len(text.token_ids) - 1, 0))
    return np.where(text.token_ids[place] == ids, place, -1)


def promoted_ids(index: Index, block: Block) -> np.ndarray:
    """(units, at most `N_PROMOTED`) ids of these tokens, the most promoted first."""
    arrays = index.layer(block.place)
    end = arrays.promoted_ids if block.sign > 0 else arrays.suppressed_ids
    found: np.ndarray = end[block.rows, :N_PROMOTED]
    if found.size and int(found.max()) >= index.manifest.model.d_vocab:
        raise damaged(arrays.path, "a promoted token is none of the vocabulary")
    return found


def promoted_words(index: Index, ids: np.ndarray, most: int = 3) -> list[str]:
    """The first promoted tokens as words, those that differ in case and space once."""
    found: dict[str, str] = {}
    for string in index.text.token_strings(ids.tolist()):
        core = string.strip()
        if core.strip("\\"):
            found.setdefault(folded(core), core if any(map(str.isalnum, core)) else f"'{core}'")
    return list(found.values())[:most]


def check_sample(index: Index) -> None:
    """Refuse an index without a sample.

    Raises:
        StoreError: it has none.
    """
    if not index.manifest.options.sample:
        raise StoreError(
            f"{index.folder} was built without a sample of positions",
            "Expected a sample: names are learnt on one half of its documents, and tested on the other",
            "Build it anew: ffmem index MODEL CORPUS --sample 24 --out DIR",
        )
