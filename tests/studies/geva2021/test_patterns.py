"""Figure 2 is what the tables of patterns say."""

import pytest

from ffmem.studies.geva2021.pattern_results import PatternsResult
from tests.studies.conftest import Story


def test_labels_make_a_whole(story: Story) -> None:
    rows = story.report.charts["labels"].rows
    for place in range(story.index.n_layers):
        assert sum(row["value"] for row in rows if row["layer"] == place) == pytest.approx(1)
    result = story.findings.get("patterns", PatternsResult)
    assert result.scores is not None and result.scores.n_prefixes == 60
    assert {row["series"] for row in story.report.charts["pattern-scores"].rows} == {
        one.kind for layer in result.scores.layers for one in layer
    }


def test_a_claim_about_semantic_patterns_needs_some(story: Story) -> None:
    result = story.findings.get("patterns", PatternsResult)
    claims = [one for name, one in story.report.claims if name == "Figure 2"]
    assert bool(claims) == (result.semantic is not None)
    (section,) = (one for one in story.report.sections if one.name == "Figure 2")
    assert any("No semantic patterns" in note for note in section.notes) == (result.why_not_semantic is not None)
