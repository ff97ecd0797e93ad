"""Small studies of value updates: of a gated model with a norm, and of one without."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.geva2022.study import STUDY
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Subject
from tests.fixtures.shared import MakeOnce

SMALL = {"positions": 300, "update_positions": 120, "update_cells": 10, "named_cells": 3, "universal_cells": 12}


def run(index: Index, *, controls: bool = False, **options: object) -> Results:
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    return run_study(STUDY, subject, UpdateOptions(**SMALL, **options), controls=controls)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def updates_of(index_of: Callable[[str], Index], make_once: MakeOnce) -> Callable[[str], Results]:
    """The results of the study of a tiny model, made once; with controls."""

    def make(family: str) -> Results:
        def study(folder: Path) -> None:
            shutil.copytree(index_of(family).folder, folder, ignore=shutil.ignore_patterns("results"))
            run(ffmem.open_index(folder), controls=True)

        return run(ffmem.open_index(make_once(f"updates/{family}", study)))

    return make


@pytest.fixture(scope="session")
def gated(updates_of: Callable[[str], Results]) -> tuple[Findings, Report]:
    results = updates_of("llama")
    return findings_of(results), report_of(results)


@pytest.fixture(scope="session")
def without_norm(updates_of: Callable[[str], Results]) -> tuple[Findings, Report]:
    results = updates_of("wikilm")
    return findings_of(results), report_of(results)
