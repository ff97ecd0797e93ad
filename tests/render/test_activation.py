"""The cells that a text activates."""

import pytest

from ffmem.analyses.activation import Activation, ActiveCell, ActiveToken
from ffmem.ids import CellId
from ffmem.render.activation import activation

CELL = CellId(1, 3)


def test_a_known_cell_and_one_that_no_index_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    known = ActiveCell(CELL, 1.5, 2.25, 0.5, 0, ("the old ", "[river]", " bends"), (" sea", "hill", "dropped"))
    bare = ActiveCell(CELL, -1.5, 2.25, None, None, None, ())
    _, token, first, second = activation(Activation("x", "norm", (ActiveToken("\x07x", 3, (known, bare)),))).split("\n")
    assert token == "⟨\\x07x⟩"
    assert first.split() == [
        "L1.3",
        "1.500",
        "adds",
        "2.250",
        "50%",
        "the",
        "old",
        "[river]",
        "bends",
        "→",
        "⟨",
        "sea⟩",
        "⟨hill⟩",
    ]
    assert second.split() == ["L1.3", "-1.500", "adds", "2.250"]
