"""A cell and a table of cells."""

import pytest

from ffmem.ids import CellId
from ffmem.queries import CellRow
from ffmem.render.cells import cell, cells, trigger_line
from tests.render import made


def test_a_cell_with_both_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = made.cell(made.trigger(), made.trigger(rank=1, coefficient=2.0), made.trigger(sign=-1, coefficient=-1.5))
    assert cell(shown, 1).split("\n") == [
        "L1.3",
        "  active at 12.50% of 1,000 positions; coefficients from -1.5 to 6, mean -0.5, root mean square 2",
        "  promotes    ⟨ sea\\x1b⟩",
        "  suppresses  ⟨hill⟩   (raw)",
        "     3.250  the old [river] bends",
        "  negative coefficients:",
        "    -1.500  the old [river] bends",
    ]


def test_the_firing_token_is_in_sight_on_a_narrow_terminal() -> None:
    assert "[river]" in trigger_line(made.trigger(), 12)


def test_a_row_of_a_table() -> None:
    row = CellRow(CellId(1, 3), 0.125, -0.5, 4.0, -1.5, 6.0, 5, None, (" sea", "hill"))
    head, line = cells([row]).split("\n")
    assert line.split() == ["L1.3", "12.50%", "-0.5", "-1.5", "6", "-", "⟨", "sea⟩", "⟨hill⟩"]
    assert head.index("promotes") == line.index("⟨ sea⟩")
