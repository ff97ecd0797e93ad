"""Which names are to be believed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffmem.names.rules.firing import Sampled
from ffmem.names.rules.labels import labels_of
from ffmem.names.rules.naming import name_units
from ffmem.selection import select
from tests.names.rules.small import small_index
from tests.names.rules.world import World


def test_units_that_fire_anywhere_get_no_name(world: World) -> None:
    names = world.names(*(world.rng.random(len(world.tokens)) < 0.01 for _ in range(60)))
    assert set(names.kind) <= {"unclear", "none"}


def test_a_tip_of_a_bell_curve_is_no_confident_name(world: World) -> None:
    """True of its tip: but so is such a name of a random direction."""
    names = world.names(world.tokens == "whose")
    assert names.grade[0] == 0
    drawn = np.sort(world.rng.standard_normal(len(world.tokens)))
    bell = np.empty(len(drawn))
    bell[np.lexsort((world.rng.random(len(drawn)), world.tokens == "whose"))] = drawn
    n = len(bell)
    sampled = Sampled(np.arange(n)[None], bell[None].astype(np.float32), np.ones((1, n)))
    found = world.finder.find(sampled, np.full((1, 10), -1))
    assert found.judged.f1[0] > 0.9
    assert found.explained[0] < 0.5 < names.units.explained[0]


def test_without_text_to_hold_out_no_name_has_a_grade(tmp_path: Path) -> None:
    world = World(tmp_path / "index", n_documents=11, metadata=False)
    names = world.names(world.tokens == "bank")
    label = world.labels(world.tokens == "bank")[0]
    assert not names.is_tested
    assert (label.text, label.grade) == ("fires on 'bank'", "")


def test_a_grade_is_the_lower_end_less_what_is_unsteady_or_no_tip_of_its_own(world: World) -> None:
    names = world.names(*[world.tokens == "king"] * 8)
    assert names.kind.tolist() == ["token"] * 8
    (found,) = names.units.found
    judged = replace(
        found.judged,
        low=np.array([0.5, 0.49, 0.25, 0.1, 0.09, 0.9, 0.9, 0.9]),
        p=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.06]),
    )
    found = replace(
        found,
        judged=judged,
        explained=np.array([0.55, 0.9, 0.9, 0.1, 0.9, 0.9, 0.54, 0.9]),
        stable=replace(found.stable, steady=np.array([0.5, 1, 1, 1, 1, 0.49, 1, 1])),
    )
    names = replace(names, units=replace(names.units, found=(found,)))
    assert names.grade.tolist() == [0, 1, 1, 2, 3, 1, 2, 3]  # A, B, B, C, none, B, C, none
    assert names.kind.tolist() == ["token"] * 4 + ["unclear"] + ["token"] * 2 + ["unclear"]


@pytest.mark.parametrize("causal", [True, False])
def test_planted_cells_of_layers_and_experts_are_named(tmp_path: Path, causal: bool) -> None:
    """Of a masked model, too: a cell of either reads the token at its position."""
    index, tables = small_index(tmp_path / "index", causal=causal)
    names = name_units(index)
    told = {str(one.cell): (one.text.split(" → ")[0], one.kind) for one, _ in labels_of(names)}
    assert told == {
        "L0.0": ("fires on 'king' · 100 %", "token"),
        "L0.1": ("dead", "dead"),
        "L0.2": ("always on", "always"),
        "L0.3": ("rare", "rare"),
        "L1.e0.0": ("fires on 'king' · 100 %", "token"),
        "L1.e1.0": ("fires on 'king' · 100 %", "token"),
    }
    text = names.features.text
    held_out = text.competes & (text.quarter[text.document] >= 2)
    king = np.array(text.strings)[text.token] == " king"
    coefficient = np.nan_to_num(tables[1][:, 1])
    strongest = np.sort(coefficient[text.competes & ~held_out])[::-1]
    threshold = strongest[: int(0.01 * len(strongest))]
    fires = coefficient >= threshold[threshold > 0].min()
    assert names.units.judged("precision")[5] == pytest.approx(
        (king & fires & held_out).sum() / (king & held_out).sum()
    )
    assert names.units.judged("n")[[0, 4, 5]].tolist() == [(king & held_out).sum()] * 3


def test_negative_coefficients_are_a_unit_of_their_own(tmp_path: Path) -> None:
    index, _ = small_index(tmp_path / "index", gated=True)
    done: list[tuple[int, int]] = []
    names = name_units(index, select(index.cells.whole, "L0.0", 0), on_block=lambda *n: done.append(n))
    (plus, _), (minus, _) = labels_of(names)
    assert (plus.sign, minus.sign) == (1, -1) and "king" not in plus.text
    assert minus.text.startswith("fires on 'king' · 100 %")
    assert done == [(1, 2), (2, 2)]
