"""Small indexes wait for no compiler."""

import sys
from collections.abc import Callable

import pytest

from ffmem import Index
from ffmem.queries import compiled
from ffmem.queries.compiled import is_compiled


def test_the_number_of_slots_decides(index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of("llama")
    assert not is_compiled(index)
    n_slots = sum(layer.n_cells for layer in index.cells.layers) * index.top
    monkeypatch.setattr(sys.modules[compiled.__name__], "COMPILED_FROM", n_slots)
    assert is_compiled(index)
    monkeypatch.setattr(sys.modules[compiled.__name__], "COMPILED_FROM", n_slots + 1)
    assert not is_compiled(index)
