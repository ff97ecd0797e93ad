"""What edits change that they are not for, from their arrays."""

import numpy as np
import pytest

from ffmem.studies.meng2022.edits import arrays_of
from ffmem.studies.meng2022.side_effects import _sums, changing
from ffmem.studies.results import Findings


def test_sums_over_documents_are_means_over_edits(edit_findings: Findings) -> None:
    for one in changing(edit_findings):
        text = arrays_of(edit_findings, one)["text"]
        for column, value in enumerate((one.divergence.value, one.loss.value, one.other_top.value)):
            expected = text[:, :, 2 * column].sum() / text[:, :, 2 * column + 1].sum()
            assert value == pytest.approx(expected)
            assert float(_sums(edit_findings, one, column).ratios[0]) == pytest.approx(expected)
        assert np.all(text[:, :, 1] > 0)


def test_what_changes_nothing_is_left_out(edit_findings: Findings) -> None:
    assert {one.way for one in changing(edit_findings)}.isdisjoint({"none", "prefix"})
