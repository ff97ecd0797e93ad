"""Figures 4 to 6 and Table 2 are what index and model say."""

from itertools import pairwise

import numpy as np
import pytest

from ffmem.analyses.agreement import Agreement
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2021.study import projections
from tests.studies.conftest import Story


def test_the_own_projection_is_shown_first(story: Story) -> None:
    own = story.index.manifest.projection
    assert projections(story.findings)[0] == own
    result = story.findings.get(f"agreement-{own}", Agreement)
    assert result.projection == own and len(result.layers) == story.index.n_layers
    rates = [row for row in story.report.charts["agreement"].rows if row["series"] == "next token"]
    assert [row["value"] for row in rates] == [layer.agreement.value for layer in result.layers]
    first = [row for row in story.report.charts["agreement-at"].rows if row["series"] == "k = 1"]
    assert [row["value"] for row in first] == [row["value"] for row in rates]  # the first token is the top token


def test_numbers_pool_the_cells_of_a_third(story: Story) -> None:
    result = story.findings.get(f"agreement-{story.index.manifest.projection}", Agreement)
    numbers = {one.quantity: one for name, one in story.report.numbers if name in ("Figure 4", "Figure 5")}
    last = result.layers[-1]
    assert numbers["agreement rate, highest third of the layers"].ours == pytest.approx(last.agreement.value)
    assert numbers["agreement rate, best layer"].ours == max(layer.agreement.value for layer in result.layers)
    share = numbers["median rank of the next token as a share of the vocabulary, highest third"].ours
    assert share * len(story.index.text.vocabulary) == pytest.approx(last.rank_quantiles[2])


def test_the_strongest_values_are_those_of_the_model(story: Story) -> None:
    rows = story.report.tables["strongest-values"].rows
    model, vocabulary = load_indexed_model(story.index), story.index.text.vocabulary
    for row in rows[:5]:
        place, number = story.index.cells.place(story.index.cells.parse(row["value"]))
        scores = model.project(model.values(place)[number][None], story.index.manifest.projection)[0].detach()
        p = np.asarray(scores.float().softmax(0))
        assert vocabulary[int(p.argmax())] == row["top token"]
        assert p.max() == pytest.approx(row["probability"], abs=2e-6)
    assert [row["probability"] for row in rows] == sorted((row["probability"] for row in rows), reverse=True)


def test_bins_lie_side_by_side(story: Story) -> None:
    rows = story.report.charts["strength"].rows
    for series in ("values as they are", "all brought to one length"):
        bins = [row for row in rows if row["series"] == series]
        assert all(one["to"] <= two["from"] * (1 + 1e-9) for one, two in pairwise(bins))
        assert sum(row["n"] for row in bins) == sum(
            layer.agreement.n
            for layer in story.findings.get(f"agreement-{story.index.manifest.projection}", Agreement).layers
        )
