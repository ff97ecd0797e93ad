"""Figures 7 and 8, and section 5.1, are what the stored arrays say."""

import numpy as np
import pytest

from ffmem.studies.geva2021.refinement import refined, refinement_of
from tests.studies.conftest import Story


def test_active_memories_are_counted_at_each_prefix(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    shares = np.median(arrays.n_active / [layer.n_cells for layer in story.index.cells.layers], axis=0)
    numbers = {one.quantity: one.ours for name, one in story.report.numbers if name == "Figure 7"}
    assert list(numbers.values()) == pytest.approx([shares.min(), shares.max()])
    assert [row["q50"] for row in story.report.charts["active"].rows] == pytest.approx(shares.tolist())


def test_the_layer_with_the_least_zero_agreement_is_told(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    (zero,) = (one for name, one in story.report.numbers if name == "Figure 8")
    assert zero.ours == (~arrays.active_agrees).mean(0).min()


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
