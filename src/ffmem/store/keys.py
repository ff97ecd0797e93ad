"""A trigger as one integer: the bits of its positive float32 coefficient above the complement of its token index.

Positive floats compare like their bits, so keys compare like triggers: the larger coefficient first, then the smaller token
index. All keys of a cell differ, hence the best t of any set of triggers are unique. The compiled loops write these lines once
more, with these constants; tests/store/test_keys.py holds them to these functions.
"""

from typing import Any, TypeVar, cast

import numpy as np

NO_TOKEN = 2**32 - 1
"""Token index of an empty slot of a trigger list; all others lie below it. The lower half of a key is its complement."""

EMPTY = 0
"""The key of an empty slot; every real key is larger."""

SHIFT = 32
"""Bits of the lower half."""

Integers = TypeVar("Integers")
"""An array of numpy, or a tensor: the operators below are those of both."""


def join(bits: Integers, tokens: Integers) -> Integers:
    """Keys (int64) of numbers in the upper half, the largest first, and token indices in the lower, the smallest first.

    Args:
        bits: int64, those of float32 coefficients.
        tokens: int64, from 0 to NO_TOKEN - 1.
    """
    above, below = cast(Any, bits), cast(Any, tokens)
    return cast(Integers, (above << SHIFT) | (NO_TOKEN - below))


def upper(keys: Integers) -> Integers:
    """The upper halves of keys (int64): bits of coefficients, 0 for an empty slot."""
    return cast(Integers, cast(Any, keys) >> SHIFT)


def tokens_of(keys: Integers) -> Integers:
    """The token indices of keys (int64); NO_TOKEN for an empty slot."""
    return cast(Integers, NO_TOKEN - (cast(Any, keys) & NO_TOKEN))


def pack(coefficients: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The keys of triggers.

    Args:
        coefficients: float32, positive; anything where there is no token.
        tokens: token indices, NO_TOKEN for an empty slot.
    """
    keys = join(coefficients.view(np.int32).astype(np.int64), tokens.astype(np.int64))
    return np.where(tokens == NO_TOKEN, EMPTY, keys)


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (float32; 0 for empty slots) and token indices (uint32; NO_TOKEN for empty slots) of keys."""
    return upper(keys).astype(np.int32).view(np.float32), tokens_of(keys).astype(np.uint32)
