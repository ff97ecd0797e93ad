from collections.abc import Callable

import pytest

from ffmem import Index, InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.study import Subject
from ffmem.studies.valeriani2023.context import begin, control_of
from ffmem.studies.valeriani2023.options import GeometryOptions


def test_what_it_cannot_be_asked_is_refused(
    index_of: Callable[[str], Index], sparse_index_of: Callable[[str, str], Index]
) -> None:
    index = index_of("gpt2")
    with pytest.raises(InputError, match="the study valeriani2023 is given no index"):
        begin(Subject(lambda: load_indexed_model(index), index.folder), GeometryOptions(), lambda _: None)
    some = sparse_index_of("gpt2", "L0.0-3")
    with pytest.raises(InputError, match="a study of the vectors of all coefficients"):
        begin(Subject(lambda: load_indexed_model(some), some.folder, some), GeometryOptions(), lambda _: None)


def test_a_control_reads_the_same_sentences_and_halves(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    shared = begin(Subject(lambda: load_indexed_model(index), index.folder, index), GeometryOptions(), lambda _: None)
    before = shared.model.keys(0).clone()
    control = control_of("untrained")(shared, lambda _: None)
    assert control.sentences is shared.sentences and (control.halves == shared.halves).all()
    assert control.results.folder.is_relative_to(shared.results.folder)
    changed = control.model.keys(0)
    assert not (changed == before).all() and (changed.flatten().sort().values == before.flatten().sort().values).all()
