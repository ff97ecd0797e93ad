"""The chapter on meaning and depth: what its charts, numbers and claims say of results that are known."""

from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import LayerMeaning, Meaning, Measure, SizeMeaning, Trend
from ffmem.studies.charts import spec
from ffmem.studies.geva2021.meaning import CHAPTER, MeaningResult
from ffmem.studies.results import Findings
from tests.studies.conftest import Story


def about(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half, 50)


def rising(top: float, bottom: float = 0.0, correlation: float = 0.9) -> Trend:
    return Trend(about(correlation, 0.05), about(top - bottom, 0.001), about(top, 0.001), about(bottom, 0.001))


def layer(name: str, words: float) -> LayerMeaning:
    measures: dict[Measure, Estimate] = {
        "token": about(0.6), "n-grams": about(0.1), "position": about(-0.02), "earlier words": about(words, 0.001),
        "unexplained": about(0.32 - words), "lift": about(1 + words), "kept": about(0.5),
    }  # fmt: skip
    return LayerMeaning(name, 10, measures)


def findings(**changes: object) -> Findings:
    meaning = Meaning(
        n_documents=50, n_sentences=100, n_positions=2_000, n_transplanted=30, n_cells=10, has_labels=False, causal=True,
        likeness="earlier words", smallest_lift=1.5,
        layers=(layer("L0", 0.0), layer("L1", 0.01), layer("L2", 0.02)),
        directions=(layer("L0", 0.0), layer("L1", 0.01), layer("L2", 0.01)),
        trends={
            "token": rising(0.4, 0.7, -0.9), "kept": rising(0.4, 0.9, -0.9), "earlier words": rising(0.02),
            "earlier words, shuffled": rising(0.0001),
        },
        of_directions={"earlier words": rising(0.01)},
        differences={"earlier words": about(0.01, 0.004)},
        sizes=(SizeMeaning(5, 200, {"earlier words": about(0.01)}), SizeMeaning(50, 2_000, {"earlier words": about(0.02)})),
        left_out=("documents have no labels",),
    )  # fmt: skip
    result = MeaningResult(replace(meaning, **changes), None)  # type: ignore[arg-type]
    return Findings({}, Path(), {"meaning": result})


def verdicts(found: Findings) -> list[str]:
    return [one.verdict for exhibit in CHAPTER.exhibits if exhibit.applies(found) for one in exhibit.claims(found)]


def test_three_claims() -> None:
    assert verdicts(findings()) == ["shown", "shown", "shown"]
    base = findings().get("meaning", MeaningResult).meaning
    assert base is not None
    flat = base.trends | {"earlier words": rising(0.0005, 0.0), "earlier words, shuffled": rising(0.0)}
    assert verdicts(findings(trends=flat))[1] == "undecided"
    falling = base.trends | {"earlier words": rising(0.0, 0.02, -0.9)}
    assert verdicts(findings(trends=falling))[1] == "contradicted"
    shuffled = base.trends | {"earlier words, shuffled": rising(0.004)}  # a fifth of what the own words tell
    assert verdicts(findings(trends=shuffled))[1] == "undecided"
    assert verdicts(findings(differences={"earlier words": about(0.001, 0.004)}))[2] == "undecided"
    deeper = base.trends | {"kept": rising(0.9, 0.4, 0.9)}
    assert verdicts(findings(trends=deeper))[0] == "contradicted"


def test_what_it_says(story: Story) -> None:
    found = findings()
    stack, depth = (one for one in CHAPTER.exhibits if one.applies(found))
    assert "60.0 %" in stack.reading(found) and "2.0 %" in depth.reading(found) and "1.0 %" in depth.reading(found)
    (parts, _) = stack.charts(found)
    assert [row["value"] for row in parts.rows if row["layer"] == 2] == [0.6, 0.1, 0, 0.02, pytest.approx(0.3)]
    charts = {one.name: one for one in depth.charts(found)}
    assert list(charts) == ["earlier-words", "trigger-lift", "meaning-by-size"]
    assert [row["middle"] for row in charts["meaning-by-size"].rows] == [200, 2_000]
    assert {row["series"] for row in charts["earlier-words"].rows} == {"cells", "random directions"}
    assert all(spec(one) for one in (parts, *charts.values()))
    assert list(stack.notes(found)) == ["Left out: documents have no labels."]
    (table,) = depth.tables(found)
    assert len(table.rows) == 6 and table.rows[2]["earlier words"] == 0.02


def test_a_small_study_has_it(story: Story) -> None:
    found = story.findings.get("meaning", MeaningResult).meaning
    assert found is not None and len(found.layers) == story.index.n_layers
    assert {"variance-parts", "earlier-words", "trigger-lift", "meaning-by-size"} <= set(story.report.charts)
    rows = [row for row in story.report.charts["variance-parts"].rows if row["layer"] == 0]
    assert sum(row["value"] for row in rows) == pytest.approx(1, abs=0.1)


def test_a_text_that_is_too_small_is_said() -> None:
    found = Findings({}, Path(), {"meaning": MeaningResult(None, "the text of x gives 3 positions of 1 documents")})
    (exhibit,) = (one for one in CHAPTER.exhibits if one.applies(found))
    assert exhibit.reading(found) == "Left out: the text of x gives 3 positions of 1 documents."
    assert not list(exhibit.claims(found))
