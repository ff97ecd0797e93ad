"""A small study of a tiny model, with its control."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.gurnee2026.options import LensOptions
from ffmem.studies.gurnee2026.study import STUDY
from ffmem.studies.results import Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Subject
from tests.fixtures.shared import MakeOnce

SMALL = LensOptions(positions=80, fit_positions=25, effect_positions=6, cells=12)


def subject_of(index: Index) -> Subject:
    return Subject(lambda: load_indexed_model(index), index.folder, index)


@pytest.fixture(scope="session")
def read(index_of: Callable[[str], Index], make_once: MakeOnce) -> Results:
    def study(folder: Path) -> None:
        shutil.copytree(index_of("gpt2").folder, folder, ignore=shutil.ignore_patterns("results"))
        run_study(STUDY, subject_of(ffmem.open_index(folder)), SMALL)

    return run_study(STUDY, subject_of(ffmem.open_index(make_once("lenses/gpt2", study))), SMALL)
