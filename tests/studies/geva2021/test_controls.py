"""The same experiments on the untrained and on the shuffled model, over some of the same text."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, load_model
from ffmem.options import RunOptions
from ffmem.studies.geva2021 import controls
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.geva2021.refinement import RefinementResult
from ffmem.studies.geva2021.study import reproduce
from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from tests.conftest import SMALL_STUDY

SMALL = replace(StudyOptions(**SMALL_STUDY), control_tokens=400)


@pytest.fixture(scope="module")
def index(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    options = IndexOptions(top=5, promoted=5, holdout=0.2, max_tokens=1500)
    folder = tmp_path_factory.mktemp("controlled") / "index"
    return ffmem.build_index(tiny_folder("gpt2"), corpus, folder, options=options, run=RunOptions(workers=0))


@pytest.fixture(scope="module")
def results(index: Index) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "RunOptions", lambda **given: RunOptions(workers=0, **given))
        return reproduce(index, SMALL)


def test_each_control_has_an_index_of_less_of_the_same_text(index: Index, results: Results) -> None:
    for kind in ("untrained", "shuffled"):
        other = ffmem.open_index(results.folder / "controls" / kind)
        assert other.manifest.identity.model.source.startswith(f"{kind}:")
        assert 0 < other.manifest.counts.n_tokens <= 400 < index.manifest.counts.n_tokens
        mine = other.text.token_id[: other.manifest.counts.n_tokens]
        assert np.array_equal(mine, index.text.token_id[: len(mine)])


def test_controls_are_asked_at_prefixes_of_the_study_itself(results: Results) -> None:
    findings = findings_of(results)
    of_study = findings.get("refinement", RefinementResult)
    for one in findings.controls.values():
        assert one.get("refinement", RefinementResult).n_prefixes == of_study.n_prefixes
        assert set(one.values) == set(findings.values)


def test_a_control_is_the_model_that_its_source_names(
    index: Index, results: Results, tiny_folder: Callable[[str], Path]
) -> None:
    """Its promoted tokens are what the values of the shuffled model say, computed here."""
    other = ffmem.open_index(results.folder / "controls" / "shuffled")
    values = load_model(f"shuffled:{tiny_folder('gpt2')}")
    scores = values.project(values.value_rows(1), other.manifest.projection)
    assert np.array_equal(scores.argmax(1).numpy(), other.layer(1).promoted_ids[:, 0].astype(np.int64))
    mine = np.sort(index.layer(1).promoted_scores[:, 0])
    assert np.allclose(mine, np.sort(other.layer(1).promoted_scores[:, 0]))  # the same values, elsewhere


def test_the_report_has_a_column_for_each(results: Results) -> None:
    report = report_of(results)
    assert [one.name for one in report.controls] == ["untrained", "shuffled"]
    for one in report.controls:
        quantities = {(item, number.quantity) for item, number in report.numbers}
        assert one.numbers.keys() <= quantities
        # what coefficients are made of is not asked of so small a text
        assert {item for item, _ in quantities - one.numbers.keys()} <= {"Section 3", "Figure 2"}
    beside = {chart.name for chart in report.charts.values() if chart.beside}
    assert {"residual-match-untrained", "residual-match-shuffled", "agreement-untrained"} <= beside
    extents = {chart.extent for name, chart in report.charts.items() if name.startswith("residual-match")}
    assert len(extents) == 1 and None not in extents
    document = json.loads(json.dumps(report.to_json()))
    assert set(document["numbers"][0]["controls"]) == {"untrained", "shuffled"}


def test_an_index_whose_model_is_gone_leaves_its_study_as_it_is(index: Index, results: Results, tmp_path: Path) -> None:
    """What cannot be made is told, and no result is lost."""
    folder = tmp_path / "index"
    shutil.copytree(index.folder, folder)
    shutil.rmtree(folder / "results" / results.key / "controls")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["identity"]["model"]["source"] = str(tmp_path / "gone.gguf")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    report = report_of(reproduce(ffmem.open_index(folder), SMALL))
    assert not report.controls and len(report.sections) > 10
    assert [one.partition(":")[0] for one in report.left_out] == ["No control 'untrained'", "No control 'shuffled'"]
    assert "gone.gguf" in report.left_out[0]
