"""A whole study of tiny models: what it keeps, what it goes on from, what it cannot ask."""

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ffmem
import ffmem.studies.geva2021
from ffmem import Index, InputError
from ffmem.corpus.registry import open_corpus
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.charts import spec
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.geva2021.refinement import RefinementResult
from ffmem.studies.geva2021.study import STUDY, projections, reproduce
from ffmem.studies.page import write_page
from ffmem.studies.report import make_report, report_of
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Stage, Subject
from tests.conftest import SMALL_STUDY
from tests.studies.conftest import Story

SMALL = StudyOptions(**SMALL_STUDY)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "costs.json"
    }


def copy_of(index: Index, folder: Path) -> Index:
    shutil.copytree(index.folder, folder, ignore=shutil.ignore_patterns("results"))
    return ffmem.open_index(folder)


@pytest.mark.slow
def test_two_studies_agree_to_the_byte_and_a_stopped_one_goes_on(story: Story, tmp_path: Path) -> None:
    other = copy_of(story.index, tmp_path / "elsewhere")

    class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
        pass

    seen: list[Stage] = []

    def stop_at(experiment: str) -> Callable[[Stage], None]:
        def listen(now: Stage) -> None:
            seen.append(now)
            if now.experiment == experiment and now.done == 1:
                raise Stopped

        return listen

    with pytest.raises(Stopped):
        reproduce(other, SMALL, progress=stop_at("modifications"), controls=False)
    kept = {path.name for path in (other.folder / "results").glob("*/*.json")}
    assert "refinement.json" in kept and "modifications-layer-000.json" in kept and "modifications.json" not in kept
    seen.clear()
    results = reproduce(other, SMALL, progress=seen.append, controls=False)
    assert [one for one in seen if one.experiment == "refinement"] == [Stage("refinement", 1, 1)]  # not done again
    write_page(report_of(results), results.folder)
    assert hashes(results.folder) == hashes(story.page.parent)
    assert results.key == story.page.parent.name
    again = reproduce(other, StudyOptions(**{**SMALL.to_json(), "seed": 1}), controls=False)
    assert again.key != results.key


def test_other_held_out_text_makes_another_study(story: Story, tmp_path: Path) -> None:
    index = copy_of(story.index, tmp_path / "index")
    (tmp_path / "new.txt").write_text(
        "The old village waits for winter.\n\nSoldiers write letters about silver rivers.\n"
    )
    options = StudyOptions(**{**SMALL.to_json(), "held_out": str(tmp_path / "new.txt")})
    results = reproduce(index, options, controls=False)
    assert results.key != story.results.key
    findings = findings_of(results)
    assert findings.get("refinement", RefinementResult).n_sentences <= 2
    assert ("held out", findings.header["held_out"]["name"]) in make_report(STUDY, findings).facts


def test_a_model_without_next_token_gets_the_rest(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = copy_of(index_of("bert"), tmp_path / "bert")
    results = reproduce(index, SMALL, controls=False)
    found = findings_of(results)
    assert "parameters" in found.values and not any(name.startswith(("agreement", "refine")) for name in found.values)
    page = write_page(report_of(results), results.folder)
    assert "does not predict the next token" in page.read_text()


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_every_kind_of_cell_can_be_studied(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = copy_of(index_of(family), tmp_path / family)
    findings = findings_of(reproduce(index, SMALL, controls=False))
    assert {"raw", "folded"} <= set(projections(findings)) and projections(findings)[0] == index.manifest.projection
    report = make_report(STUDY, findings)
    assert "agreement-by-projection" in report.charts
    for _, number in report.numbers:
        assert number.text()
    for section in report.sections:
        assert "nan" not in section.reading
    for chart in report.charts.values():
        assert spec(chart)


def test_what_a_subject_lacks_is_said(story: Story, corpus: Path) -> None:
    def model() -> Any:
        return load_indexed_model(story.index)

    with pytest.raises(InputError, match="is given no index"):
        run_study(STUDY, Subject(model, story.index.folder), SMALL)
    two = (open_corpus(str(corpus)),) * 2
    with pytest.raises(InputError, match="is given 2 corpora"):
        run_study(STUDY, Subject(model, story.index.folder, story.index, two), SMALL)


def test_a_page_tells_what_was_studied(story: Story) -> None:
    facts, counts = dict(story.report.facts), story.index.manifest.counts
    assert list(facts) == ["model", "cells", "vocabulary", "indexed", "held out", "seed"]
    assert facts["cells"].startswith("144: ") and facts["seed"] == "0" and not story.report.left_out
    assert f"{counts.n_sentences_held_out:,} sentences" in facts["held out"]


CHAPTER = """
from ffmem.studies.exhibit import Chart, Exhibit, nothing
from ffmem.studies.geva2021.layers import line_rows
from ffmem.studies.geva2021.refinement import refined
from ffmem.studies.study import Chapter


def charts(findings):
    rows = line_rows(refined(findings).layers, {"effective": lambda layer: layer.effective})
    yield Chart("effective-cells", "The share of cells that matter.", "lines", rows, "effective cells")


CHAPTER = Chapter(
    order=99,
    experiments=nothing,
    results={},
    exhibits=(
        Exhibit(
            order=7.5, name="Addition", title="Cells that matter", question="How many cells matter?", definition="d",
            conclude="c", applies=lambda findings: "refinement" in findings.values, reading=lambda findings: "Some.",
            sample=lambda findings: "all", charts=charts,
        ),
    ),
)
"""


def test_a_new_figure_is_a_chapter(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of its analysis is there already; no other file is told of it."""
    (tmp_path / "effective.py").write_text(CHAPTER)
    package = ffmem.studies.geva2021
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    try:
        page = write_page(report_of(story.results), tmp_path / "told")
    finally:
        sys.modules.pop("ffmem.studies.geva2021.effective", None)
        vars(package).pop("effective", None)
    text = page.read_text("utf-8")
    assert 'id="chart-effective-cells"' in text and "How many cells matter?" in text
    places = [text.index(f'<section id="{one}') for one in ("figure-7-", "addition-cells-that-matter", "figure-8-")]
    assert places == sorted(places)
    rows = (page.parent / "figures" / "effective-cells.csv").read_text().splitlines()
    layers = json.loads((story.results.folder / "refinement.json").read_text())["result"]["of_layers"]["layers"]
    assert [row.split(",")[3] for row in rows[1:]] == [str(layer["effective"]["value"]) for layer in layers]
    assert "effective-cells" not in story.report.charts  # told before the file was there
