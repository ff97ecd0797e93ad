from collections.abc import Callable

import pytest

from ffmem import Index, InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.gupta2021.context import begin
from ffmem.studies.gupta2021.options import TruncationOptions
from ffmem.studies.study import Subject


def test_what_it_cannot_be_asked_is_refused(index_of: Callable[[str], Index]) -> None:
    bert = index_of("bert")
    with pytest.raises(InputError, match="which the study gupta2021 is about"):
        begin(Subject(lambda: load_indexed_model(bert), bert.folder, bert), TruncationOptions(), lambda _: None)
    with pytest.raises(InputError, match="the study gupta2021 is given no index"):
        begin(Subject(lambda: load_indexed_model(bert), bert.folder), TruncationOptions(), lambda _: None)
