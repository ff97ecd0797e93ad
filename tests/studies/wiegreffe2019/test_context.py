"""What the experiments share: text, donors, and who is refused."""

from collections.abc import Callable

import pytest

from ffmem import Index, InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.study import Subject
from ffmem.studies.wiegreffe2019.context import begin
from tests.studies.wiegreffe2019.conftest import SMALL


def test_what_it_cannot_be_asked_is_refused(index_of: Callable[[str], Index]) -> None:
    bert = index_of("bert")
    with pytest.raises(InputError, match="which the study wiegreffe2019 is about"):
        begin(Subject(lambda: load_indexed_model(bert), bert.folder, bert), SMALL, lambda _: None)
    with pytest.raises(InputError, match="the study wiegreffe2019 is given no index"):
        begin(Subject(lambda: load_indexed_model(bert), bert.folder), SMALL, lambda _: None)


def test_texts_are_held_out_and_donors_are_not(labelled_index: Index) -> None:
    subject = Subject(lambda: load_indexed_model(labelled_index), labelled_index.folder, labelled_index)
    study = begin(subject, SMALL, lambda _: None)
    held_out = {text.document for text in study.texts}
    assert held_out and not held_out & {text.document for text in study.donors}
    assert all(labelled_index.text.document(number).held_out for number in held_out)
    assert len(study.donors) == SMALL.map_texts
    some = study.some_texts(20)
    assert 20 <= sum(map(len, some)) < 20 + SMALL.length and study.some_texts(10**6) == study.texts
    control = study.as_control("untrained")
    assert control.positions is study.positions and control.is_control
    assert [text.ids.tolist() for text in control.texts] == [text.ids.tolist() for text in study.texts]
