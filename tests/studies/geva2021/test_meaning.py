"""What a coefficient is made of, told of results that are known, and of a small study."""

from pathlib import Path

import pytest

from ffmem.studies.charts import spec
from ffmem.studies.geva2021.meaning import CHAPTER, MeaningResult
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged
from tests.studies.conftest import Story
from tests.studies.geva2021.made_meaning import findings, rising


def test_lower_layers_are_shallow_if_both_measures_fall() -> None:
    def verdict(found: Findings) -> str:
        (exhibit,) = (one for one in CHAPTER.exhibits if one.applies(found))
        ((claim,),) = judged([tuple(exhibit.claims(found))])
        return claim.verdict

    assert verdict(findings()) == "shown"
    base = findings().get("meaning", MeaningResult).meaning
    assert base is not None
    assert verdict(findings(trends=base.trends | {"kept": rising(0.9, 0.4, 0.9)})) == "contradicted"
    assert verdict(findings(trends=base.trends | {"kept": rising(0.4, 0.4005, 0)})) == "undecided"
    assert verdict(findings(trends={"token": rising(0.4, 0.7, -0.9)})) == "shown"  # nothing was transplanted


def test_what_it_says(story: Story) -> None:
    found = findings()
    (stack,) = (one for one in CHAPTER.exhibits if one.applies(found))
    assert "60.0 %" in stack.reading(found)
    (parts, _) = stack.charts(found)
    assert [row["value"] for row in parts.rows if row["layer"] == 2] == [0.6, 0.1, 0, 0.02, pytest.approx(0.3)]
    assert spec(parts) and list(stack.notes(found)) == ["Left out: documents have no labels."]


def test_a_small_study_has_it(story: Story) -> None:
    found = story.findings.get("meaning", MeaningResult).meaning
    assert found is not None and len(found.layers) == story.index.n_layers
    assert {"variance-parts", "earlier-words", "trigger-lift", "meaning-by-size"} <= set(story.report.charts)
    rows = [row for row in story.report.charts["variance-parts"].rows if row["layer"] == 0]
    assert sum(row["value"] for row in rows) == pytest.approx(1, abs=0.1)
    assert not list(story.results.folder.glob("states-*"))  # what a pass left on disk is gone


def test_a_text_that_is_too_small_is_said() -> None:
    found = Findings({}, Path(), {"meaning": MeaningResult(None, "the text of x gives 3 positions of 1 documents")})
    (exhibit,) = (one for one in CHAPTER.exhibits if one.applies(found))
    assert exhibit.reading(found) == "Left out: the text of x gives 3 positions of 1 documents."
    assert not list(exhibit.claims(found))
