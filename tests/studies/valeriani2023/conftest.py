"""Small studies of tiny models: with topics and controls, and of two stacks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Subject
from ffmem.studies.valeriani2023.options import GeometryOptions
from ffmem.studies.valeriani2023.study import STUDY
from tests.fixtures.shared import MakeOnce

SMALL = GeometryOptions(points=60)


def run(index: Index, *, controls: bool = True) -> Results:
    return run_study(STUDY, Subject(lambda: load_indexed_model(index), index.folder, index), SMALL, controls=controls)


def _studied(make_once: MakeOnce, name: str, index: Callable[[], Index], *, controls: bool) -> Results:
    def study(folder: Path) -> None:
        shutil.copytree(index().folder, folder, ignore=shutil.ignore_patterns("results"))
        run(ffmem.open_index(folder), controls=controls)

    return run(ffmem.open_index(make_once(name, study)), controls=controls)


@pytest.fixture(scope="session")
def measured(labelled: Index, make_once: MakeOnce) -> Results:
    return _studied(make_once, "geometry/labelled", lambda: labelled, controls=True)


@pytest.fixture(scope="session")
def two_stacks(index_of: Callable[[str], Index], make_once: MakeOnce) -> Results:
    """Without labels and controls."""
    return _studied(make_once, "geometry/t5", lambda: index_of("t5"), controls=False)
