"""What an index tells of the sample of one cell: drawn positions, each with how many it stands for. Needs no torch."""

from dataclasses import dataclass

import numpy as np

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.arrays import LayerArrays
from ffmem.store.files import damaged
from ffmem.store.keys import NO_TOKEN
from ffmem.store.strata import N_ACTIVE


@dataclass(frozen=True)
class Sample:
    """Positions drawn from each stratum of a cell's coefficients, or of a gated cell's of one sign: strongest strata first.

    A sum over all positions that the cell has seen is estimated by the same sum over these, each times its weight.
    """

    tokens: np.ndarray
    """Token indices; no two are equal."""
    coefficients: np.ndarray
    """Coefficients there, times the sign."""
    strata: np.ndarray
    """0 to 7: within so many half octaves of the largest; 8: other coefficients above 0; 9: 0 and below."""
    weights: np.ndarray
    """Positions of the stratum that each stands for, itself included."""
    counts: np.ndarray
    """Positions that there are in each stratum."""


def read_sample(arrays: LayerArrays, row: int, cell: CellId, sign: int) -> Sample:
    """The sample of a cell, whose row in the arrays of a layer is given, for one sign.

    Raises:
        InputError: the cell has no such sign.
        StoreError: the arrays contradict each other.
    """
    n_signs = arrays.sizes["n_signs"]
    if sign not in (1, -1)[:n_signs]:
        raise InputError(
            f"a sample of {cell} is asked for by the sign {sign}",
            "Expected 1" if n_signs == 1 else "Expected 1 or -1",
            f"Call index.sample({str(cell)!r}, 1)",
        )
    counts, tokens = arrays.sample_count[row].astype(np.int64), arrays.sample_token[row]
    filled = tokens != NO_TOKEN
    kept = check_counts(arrays, row, cell)
    first = N_ACTIVE if sign == -1 else 0
    as_told = np.full(len(counts), N_ACTIVE)  # the strata of the other sign are silent for this one
    as_told[first : first + N_ACTIVE] = np.arange(N_ACTIVE)
    order = np.argsort(as_told, kind="stable")
    strata = np.repeat(order, kept[order])
    in_order = filled[order]
    weights = counts / np.maximum(kept, 1)
    return Sample(
        tokens=tokens[order][in_order],
        coefficients=arrays.sample_coefficient[row][order][in_order] * np.float32(sign) + 0,  # not -0
        strata=as_told[strata],
        weights=weights[strata],
        counts=np.bincount(as_told, weights=counts, minlength=N_ACTIVE + 1).astype(np.int64),
    )


def check_counts(arrays: LayerArrays, row: int, cell: CellId) -> np.ndarray:
    """How many positions of each stratum of a cell are kept.

    Raises:
        StoreError: not as many as there must be.
    """
    counts, tokens = arrays.sample_count[row], arrays.sample_token[row]
    kept: np.ndarray = (tokens != NO_TOKEN).sum(1)
    if (counts < 0).any() or (kept != np.minimum(counts, tokens.shape[1])).any():
        raise damaged(arrays.path, f"the sample of {cell} contradicts its counts")
    return kept
