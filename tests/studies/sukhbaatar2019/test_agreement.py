"""Agreement of both models, against the arrays and a count by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.sukhbaatar2019.agreement import OF_BESIDE, OF_OWN, ValuesResult, best_at_first, less


def test_the_numbers_of_the_page_are_those_of_the_arrays(softmax_study: Results) -> None:
    for name, n_cells in ((OF_OWN, 192), (OF_BESIDE, 48)):
        found, arrays = findings_of(softmax_study).get(name, ValuesResult), softmax_study.load_arrays(name)
        assert found.n_cells == 3 * n_cells
        for place, one in enumerate(found.layers):
            of = arrays["layer"] == place
            assert of.sum() == n_cells
            assert one.agreement.value == pytest.approx(arrays["agrees"][of].mean())
            assert one.first.value == pytest.approx(np.nanmean(arrays["first"][of]))
            assert one.distinct == len(set(arrays["top"][of].tolist())) / n_cells


def test_best_triggers_at_the_first_token_are_counted(index_of: Callable[[str], Index]) -> None:
    index = index_of("all_attention")
    found = best_at_first(index, 1)
    expected = []
    for cell in range(len(found)):
        trigger = index.cell(index.cells.cell_id(1, cell)).triggers[0]
        expected.append(trigger.position == 0)
    assert found.tolist() == expected


def test_agreement_is_told_less_chance_of_the_same_documents() -> None:
    own = {"agrees": np.array([1.0, 1.0, 0.0]), "chance": np.array([0.5, 0.0, 0.0]), "document": np.array([0, 1, 2])}
    other = {"agrees": np.array([1.0, 0.0]), "chance": np.array([0.0, 0.0]), "document": np.array([1, 2])}
    assert less(own).value == pytest.approx(0.5)
    assert less(own, other).value == pytest.approx(0.0)
    assert less(own, own).value == 0 and less(own, own).error == pytest.approx(0.0)
