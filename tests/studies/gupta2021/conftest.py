"""A small study of a tiny model, with controls."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.gupta2021.options import TruncationOptions
from ffmem.studies.gupta2021.study import STUDY
from ffmem.studies.results import Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Subject
from tests.fixtures.shared import MakeOnce

SMALL = TruncationOptions(positions=60, layer_positions=12)


def run(index: Index) -> Results:
    return run_study(STUDY, Subject(lambda: load_indexed_model(index), index.folder, index), SMALL)


@pytest.fixture(scope="session")
def truncated(index_of: Callable[[str], Index], make_once: MakeOnce) -> Results:
    def study(folder: Path) -> None:
        shutil.copytree(index_of("gpt2").folder, folder, ignore=shutil.ignore_patterns("results"))
        run(ffmem.open_index(folder))

    return run(ffmem.open_index(make_once("truncated/gpt2", study)))
