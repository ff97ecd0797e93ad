"""Figure 3 is what the kept layers say."""

from math import isnan

import numpy as np
import pytest

from ffmem.analyses.modifications import EDITS
from ffmem.studies.geva2021.modifications import ModificationsResult
from tests.conftest import SMALL_STUDY
from tests.studies.conftest import Story


def test_changes_are_shares_of_the_coefficient(story: Story) -> None:
    layers = story.findings.get("modifications", ModificationsResult).layers
    assert [layer.layer for layer in layers] == [layer.name for layer in story.index.cells.layers]
    for layer in layers:
        assert layer.n_cells == SMALL_STUDY["edited_cells"] and layer.largest_error < 1e-4
    rows = [row for row in story.report.charts["modifications"].rows if row["series"] == "last token removed"]
    for row, layer in zip(rows, layers, strict=True):
        assert row["value"] == pytest.approx(layer.edits["last"].value)
    numbers = {one.quantity: one.ours for name, one in story.report.numbers if name == "Figure 3"}
    values = [layer.edits["random"].value for layer in layers if not isnan(layer.edits["random"].value)]
    assert numbers["change without the random token, mean of layers"] == pytest.approx(np.mean(values))


def test_layers_are_the_means_of_their_triggers(story: Story) -> None:
    arrays = story.results.load_arrays("modifications")
    layers = story.findings.get("modifications", ModificationsResult).layers
    for place, layer in enumerate(layers):
        own = arrays["change"][arrays["layer"] == place]
        assert layer.n_triggers == len(own)
        for number, edit in enumerate(EDITS):
            if not np.isnan(own[:, number]).all():
                assert layer.edits[edit].value == pytest.approx(np.nanmean(own[:, number]))
    (claim,) = (one for _, one in story.report.claims if one.statement == "a random token matters more than the first")
    paired = arrays["change"][:, EDITS.index("first")] - arrays["change"][:, EDITS.index("random")]
    of_layers = [np.nanmean(paired[arrays["layer"] == place]) for place in range(len(layers))]
    assert claim.test.effect == pytest.approx(np.mean(of_layers))


def test_parts_of_a_stopped_run_are_gone(story: Story) -> None:
    assert not list(story.results.folder.glob("*-part-*")) + list(story.results.folder.glob("*-layer-*"))
