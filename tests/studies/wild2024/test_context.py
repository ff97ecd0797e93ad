"""What a subject lacks, earlier moments that are none, and controls."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.study import Subject
from ffmem.studies.wild2024.context import Wild2024, begin
from ffmem.studies.wild2024.options import SparsityOptions
from tests.studies.wild2024.conftest import copied


def begun(index: Index, **options: object) -> Wild2024:
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    return begin(subject, SparsityOptions(**options), lambda _: None)  # type: ignore[arg-type]


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    return copied(index_of("opt"), tmp_path / "opt")


def test_what_a_subject_lacks_is_said(index: Index, sparse_index_of: Callable[[str, str], Index]) -> None:
    with pytest.raises(InputError, match="the study wild2024 is given no index"):
        begin(Subject(lambda: load_indexed_model(index), index.folder), SparsityOptions(), lambda _: None)
    with pytest.raises(InputError, match="a study of which cells are in use needs all cells"):
        begun(sparse_index_of("gpt2", "L1"))


def test_an_earlier_moment_is_of_the_same_cells_and_text(
    index: Index, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    assert begun(index, earlier=(str(index_of("opt").folder),)).earlier[0].manifest == index.manifest
    with pytest.raises(InputError, match=r"are indexes of other cells\. Expected two moments"):
        begun(index, earlier=(str(index_of("wikilm").folder),))
    (tmp_path / "few.txt").write_text("The old village waits for winter.\n")
    options = IndexOptions(top=2, promoted=2, holdout=0)
    ffmem.build_index(
        tiny_folder("opt"), tmp_path / "few.txt", tmp_path / "i", options=options, run=RunOptions(workers=0)
    )
    with pytest.raises(InputError, match=r"are indexes of other text\. Expected two moments"):
        begun(index, earlier=(str(tmp_path / "i"),))


def test_a_control_reads_less_of_the_same_text(index: Index) -> None:
    study = begun(index, positions=1000, window=100)
    control = study.as_control("shuffled")
    assert control.is_control and control.options.positions == 300 and control.options.window == 100
    n = len(control.stretch.tokens)
    assert [one.tolist() for one in control.stretch.tokens] == [one.tolist() for one in study.stretch.tokens[:n]]
    assert control.results.folder.parent == study.results.folder / "controls" / "shuffled"
    keys = {study.results.key, control.results.key, begun(index, positions=1000, window=101).results.key}
    assert len(keys) == 3


def test_other_documents_are_drawn_where_few_are_asked_for(index: Index) -> None:
    study = begun(index, positions=200)
    assert study.few(200).documents[0] != study.stretch.documents[0]
