"""A small study of a tiny model, read back and told."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.studies.page import write_page
from ffmem.studies.report import Report, make_report
from ffmem.studies.results import Findings, Results, open_results
from ffmem.studies.runner import findings_of
from ffmem.studies.study import study_named


@dataclass(frozen=True)
class Story:
    """A study from its index to its page."""

    index: Index
    results: Results
    findings: Findings
    report: Report
    page: Path


@pytest.fixture(scope="session")
def story(studied_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Story:
    pytest.importorskip("altair", reason="needs the extra report")
    folder = tmp_path_factory.mktemp("story") / "index"
    shutil.copytree(studied_index.folder, folder)
    results = open_results(folder)
    findings = findings_of(results)
    report = make_report(study_named("geva2021"), findings)
    return Story(ffmem.open_index(folder), results, findings, report, write_page(report, results.folder))
