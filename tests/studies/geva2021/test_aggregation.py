"""Figures 7 and 8, and section 5.1, are what the stored arrays say."""

import numpy as np
import pytest

from ffmem.studies.geva2021.refinement import refined, refinement_of
from tests.studies.conftest import Story


def test_active_memories_are_counted_at_each_prefix(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    shares = np.median(arrays.n_active / [layer.n_cells for layer in story.index.cells.layers], axis=0)
    numbers = {one.quantity: one.ours for name, one in story.report.numbers if name == "Figure 7"}
    assert list(numbers.values()) == pytest.approx([shares.min(), shares.max()], abs=0.06)  # corrected for the choice
    assert [row["q50"] for row in story.report.charts["active"].rows] == pytest.approx(shares.tolist())


def test_agreement_stands_beside_chance(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    numbers = {one.quantity: one.ours for name, one in story.report.numbers if name == "Figure 8"}
    least = (~arrays.active_agrees).mean(0).min()
    assert numbers["zero agreement, layer with the least"] == pytest.approx(least, abs=0.06)  # corrected for the choice
    for kind, words in (("active", "an active cell"), ("strongest", "the strongest cell")):
        here, chance = arrays.agrees(kind).mean(), np.nanmean(arrays.chance(kind))  # type: ignore[arg-type]
        assert numbers[f"{words}: has the layer's top token, mean of layers"] == pytest.approx(here)
        assert numbers[f"{words}: by chance, at prefixes of other documents"] == pytest.approx(chance, abs=1e-6)
        assert numbers[f"{words}: beyond chance"] == pytest.approx(here - chance, abs=1e-6)
    rows = [row for row in story.report.charts["agreement-beyond-chance"].rows if row["series"] == "an active cell"]
    expected = arrays.active_agrees.mean(0) - arrays.active_chance.mean(0)
    assert [row["value"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-6)


def test_agreeing_cases_stand_beside_all(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    made = refined(story.findings).makeup
    assert made.n_pairs == arrays.active_agrees.sum() and made.short_prefix_of_all.n == arrays.ff_top.size
    (section,) = (one for one in story.report.sections if one.name == "Section 5.1")
    assert [one.paper for one in section.numbers] == ["60 %", "-", "43 %", "-"]
    assert section.sample.startswith(f"{made.n_pairs:,} agreeing cases")


def test_no_more_memories_take_part_than_there_are(story: Story) -> None:
    rows = story.report.charts["participation"].rows
    assert {row["series"] for row in rows} == {"as it is", "through a softmax"}
    for row in rows:
        assert 1 <= row["low"] <= row["value"] <= row["high"] <= story.index.cells.layers[row["layer"]].n_cells
