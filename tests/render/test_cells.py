"""A cell and a table of cells."""

from dataclasses import replace

import pytest

from ffmem.cell import Quadrant, Stratum
from ffmem.ids import CellId
from ffmem.json_values import to_json
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


def test_the_quadrants_of_a_gated_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    weak = tuple(made.trigger(sign=-1, rank=rank, coefficient=-0.5 + rank / 10) for rank in range(5))
    quadrants = (
        Quadrant(1, 1, 125, 0.125, 2.0, 5.0, 6.0, (made.trigger(),)),
        Quadrant(1, -1, 0, 0.0, 0.0, 0.0, 0.0, ()),
        Quadrant(-1, 1, 875, 0.875, -0.25, 0.1, -0.5, weak),
    )
    found = replace(made.cell(made.trigger()), quadrants=quadrants)
    assert cell(found, 10).split("\n")[5:] == [
        "  gate + up +   12.50% of positions: mean 2, largest 6",
        "     3.250  the old [river] bends",
        "  gate + up -    0.00% of positions",
        "  gate - up +   87.50% of positions: mean -0.25, largest -0.5",
        "    -0.500  the old [river] bends",
        "    -0.400  the old [river] bends",
        "    -0.300  the old [river] bends",
    ]
    assert len(cell(found, 1).split("\n")) == 10  # one trigger of each
    assert to_json(found)["quadrants"][2]["share"] == 0.875 and "quadrants" not in to_json(made.cell())


def test_a_cell_by_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    strata = (
        Stratum(1, 4.0, 6.0, 1, 0.001, 1, (made.trigger(coefficient=6.0),)),
        Stratum(1, 0.0, 0.375, 1_234, 0.25, 24, tuple(made.trigger(coefficient=0.1 * n) for n in (1, 2, 3))),
        Stratum(-1, 0.75, 1.0, 5, 0.005, 5, ()),
        Stratum(-1, 0.0, 0.125, 7, 0.007, 7, ()),
        Stratum(0, 0.0, 0.0, 900, 0.737, 24, (made.trigger(coefficient=0.0),)),
    )
    found = replace(made.cell(made.trigger()), strata=strata)
    assert cell(found, 10).split("\n")[5:] == [
        "  by strength, at positions drawn at random:",
        "  4 to 6                             1 positions, 0.10%",
        "     6.000  the old [river] bends",
        "  below 0.375                    1,234 positions, 25.00%",
        "     0.100  the old [river] bends",
        "     0.200  the old [river] bends",
        "  -0.75 to -1                        5 positions, 0.50%",
        "  above -0.125                       7 positions, 0.70%",
        "  silent                           900 positions, 73.70%",
        "     0.000  the old [river] bends",
    ]
    assert to_json(found)["strata"][1]["n_positions"] == 1_234 and "strata" not in to_json(made.cell())


def test_the_firing_token_is_in_sight_on_a_narrow_terminal() -> None:
    assert "[river]" in trigger_line(made.trigger(), 12)


def test_a_row_of_a_table() -> None:
    row = CellRow(CellId(1, 3), 0.125, -0.5, 4.0, -1.5, 6.0, 5, None, (" sea", "hill"))
    head, line = cells([row]).split("\n")
    assert line.split() == ["L1.3", "12.50%", "-0.5", "-1.5", "6", "-", "⟨", "sea⟩", "⟨hill⟩"]
    assert head.index("promotes") == line.index("⟨ sea⟩")
