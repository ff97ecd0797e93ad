"""What the experiments share: cells in their order, or out of it; the document behind each; where results lie."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.through_training.moments import moments_of
from ffmem.studies.study import Subject
from ffmem.studies.training.context import Training, begin
from ffmem.studies.training.options import TrainingOptions

Trained = Callable[[str], Sequence[Index]]


@pytest.fixture
def shared(training_of: Trained, tmp_path: Path) -> Training:
    *earlier, last = training_of("wikilm")
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    options = TrainingOptions(positions=60)
    return Training(moments_of([*earlier, index]), options, Subject(lambda: 1 / 0, index.folder, index))  # type: ignore[arg-type,return-value]


def test_the_control_has_the_same_cells_in_another_order_at_each_moment(shared: Training) -> None:
    control = shared.shuffled()
    assert control.is_control and not shared.is_control
    seen = []
    for moment in range(4):
        assert shared.order(moment, 1).tolist() == list(range(len(shared.order(moment, 1))))
        order = control.order(moment, 1)
        seen.append(tuple(order.tolist()))
        own, mixed = shared.lists(moment, 1), control.lists(moment, 1)
        assert sorted(order) == list(range(len(order))) and (mixed == own[order]).all()
    assert len({*seen}) == 4 and control.order(2, 0).tolist() != control.order(2, 1).tolist()
    assert control.results.folder.is_relative_to(shared.results.folder / "controls" / "shuffled")
    assert len(control.positions) == len(shared.positions) == 60


def test_behind_each_cell_stands_the_document_of_its_best_trigger(shared: Training) -> None:
    index, documents = shared.index, iter(shared.document_of.tolist())
    for place in shared.places:
        for row in range(index.cells.layers[place].n_cells):
            triggers = index.cell(index.cells.cell_id(place, row)).triggers
            found = next(documents)
            assert found == triggers[0].document.document_id if triggers else found < 0
    empty = shared.document_of[shared.document_of < 0]
    assert len({*empty.tolist()}) == len(empty) >= 1  # the cell that was planted dead


def test_without_held_out_text_positions_are_of_indexed_text(training_of: Trained, shared: Training) -> None:
    text = shared.index.text
    assert shared.positions.prefixes.sentence_ids.min() >= text.n_sentences < text.n_all_sentences
    whole = shared.index.manifest.counts.n_sentences_held_out
    assert whole > 0 and np.isin(shared.positions.prefixes.sentence_ids, np.arange(text.n_all_sentences)).all()
    text.__dict__["n_sentences"] = text.n_all_sentences
    shared.__dict__.pop("positions")
    assert shared.positions.prefixes.sentence_ids.min() < whole + text.n_all_sentences


def test_what_is_refused(training_of: Trained, sparse_index_of: Callable[[str, str], Index], tmp_path: Path) -> None:
    first, *_, last = training_of("wikilm")
    subject = Subject(lambda: 1 / 0, last.folder, last)  # type: ignore[arg-type,return-value]
    with pytest.raises(InputError, match=r"1 index is given.*ffmem trace INDEX INDEX"):
        begin(subject, TrainingOptions(), lambda _: None)
    with pytest.raises(InputError, match="the study training is given no index"):
        begin(Subject(subject.model, tmp_path), TrainingOptions((str(first.folder),)), lambda _: None)
    some = sparse_index_of("wikilm", "L0")
    with pytest.raises(InputError, match="needs all cells of the model"):
        begin(subject, TrainingOptions((str(some.folder),)), lambda _: None)


def test_other_moments_are_another_study(training_of: Trained, tmp_path: Path) -> None:
    first, second, _, last = training_of("wikilm")
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    subject = Subject(lambda: 1 / 0, index.folder, index)  # type: ignore[arg-type,return-value]
    begun = [
        begin(subject, TrainingOptions(tuple(str(one.folder) for one in some)), lambda _: None).results
        for some in ([first], [first, second], [first])
    ]
    assert begun[0].key == begun[2].key != begun[1].key
    moved = shutil.copytree(first.folder, tmp_path / "moved")
    assert begin(subject, TrainingOptions((str(moved),)), lambda _: None).results.key == begun[0].key
