"""What every study of held-out text shares: whose results are whose, and which positions a control is asked about."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2022.context import Geva2022
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.gupta2021.context import Gupta2021
from ffmem.studies.gupta2021.options import TruncationOptions
from ffmem.studies.study import Subject


@pytest.fixture
def subject(index_of: Callable[[str], Index], tmp_path: Path) -> Subject:
    folder = shutil.copytree(index_of("gpt2").folder, tmp_path / "gpt2", ignore=shutil.ignore_patterns("results"))
    index = ffmem.open_index(folder)
    return Subject(lambda: load_indexed_model(index), index.folder, index)


def test_studies_and_controls_have_folders_of_their_own(subject: Subject) -> None:
    values, cells = Geva2022(subject, UpdateOptions()), Gupta2021(subject, TruncationOptions())
    control = cells.as_control("untrained")
    folders = [one.results.folder for one in (values, cells, control, cells.as_control("shuffled"))]
    assert len({str(one) for one in folders}) == 4 and folders[2].is_relative_to(folders[1])
    again = Gupta2021(subject, TruncationOptions())
    assert again.results.folder == cells.results.folder
    assert Gupta2021(subject, TruncationOptions(seed=1)).results.folder != cells.results.folder


def test_a_control_is_asked_less_and_leaves_the_study_as_it_was(subject: Subject) -> None:
    study = Gupta2021(subject, TruncationOptions(positions=700, layer_positions=100))
    drawn, own = len(study.positions), study.model.values(0).clone()
    control = study.as_control("shuffled")
    assert (control.options.positions, control.options.layer_positions) == (500, 60)
    assert (study.options.positions, study.options.layer_positions) == (700, 100)
    assert len(control.positions) == min(500, drawn) and len(study.positions) == drawn
    pairs = zip(study.positions.document.tolist(), study.positions.following.tolist(), strict=True)
    assert set(zip(control.positions.document.tolist(), control.positions.following.tolist(), strict=True)) <= set(
        pairs
    )
    assert control.is_control and not study.is_control
    assert not np.array_equal(control.model.values(0), own) and np.array_equal(study.model.values(0), own)
