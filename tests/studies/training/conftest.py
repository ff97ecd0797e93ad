"""The study of a made-up training of a tiny model, made once."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Subject
from ffmem.studies.training.options import TrainingOptions
from ffmem.studies.training.study import STUDY
from tests.fixtures.shared import MakeOnce


def run(earlier: Sequence[Index], last: Index, *, controls: bool = False, **options: object) -> Results:
    subject = Subject(lambda: load_indexed_model(last), last.folder, last)
    chosen = {"positions": 300, "matched_cells": 8} | options
    folders = tuple(str(one.folder) for one in earlier)
    return run_study(STUDY, subject, TrainingOptions(folders, **chosen), controls=controls)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def traced(training_of: Callable[[str], Sequence[Index]], make_once: MakeOnce) -> Results:
    """The results, with the control."""
    *earlier, last = training_of("wikilm")

    def study(folder: Path) -> None:
        shutil.copytree(last.folder, folder)
        run(earlier, ffmem.open_index(folder), controls=True, seed_other=str(last.folder))

    return run(earlier, ffmem.open_index(make_once("traced/index", study)), seed_other=str(last.folder))


@pytest.fixture(scope="session")
def findings(traced: Results) -> Findings:
    return findings_of(traced)


@pytest.fixture(scope="session")
def report(traced: Results) -> Report:
    return report_of(traced)
