"""A small study of a tiny model with memories in its attention, with one of ReLU cells beside it, and controls."""

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
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions
from ffmem.studies.sukhbaatar2019.study import STUDY
from tests.fixtures.shared import MakeOnce


def subject(index: Index) -> Subject:
    return Subject(lambda: load_indexed_model(index), index.folder, index)


@pytest.fixture(scope="session")
def softmax_options(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> SoftmaxOptions:
    beside = index_of("wikilm").folder
    return SoftmaxOptions(beside=str(beside), another=(str(tiny_folder("all_attention")),), positions=120)


@pytest.fixture(scope="session")
def softmax_study(index_of: Callable[[str], Index], softmax_options: SoftmaxOptions, make_once: MakeOnce) -> Results:
    def study(folder: Path) -> None:
        shutil.copytree(index_of("all_attention").folder, folder, ignore=shutil.ignore_patterns("results"))
        run_study(STUDY, subject(ffmem.open_index(folder)), softmax_options)

    folder = make_once("softmax/all_attention", study)
    return run_study(STUDY, subject(ffmem.open_index(folder)), softmax_options)
