"""Which indexes are large enough for loops that are compiled."""

from ffmem.store.reader import Index

COMPILED_FROM = 4_000_000
"""Slots of an index from which on a compiled loop is worth the time that it takes to load."""


def is_compiled(index: Index) -> bool:
    """Whether questions of an index use them."""
    return index.n_cells * index.top >= COMPILED_FROM
