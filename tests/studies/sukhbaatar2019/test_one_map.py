"""The map adds up, and its boxes are the weights of the model."""

from collections import defaultdict

import pytest

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.sukhbaatar2019.one_map import EXPERIMENT, MapResult, map_rows


def test_each_row_adds_up_to_1_and_sees_nothing_to_its_right(softmax_study: Results) -> None:
    heads = findings_of(softmax_study).get(EXPERIMENT, MapResult).heads
    assert len(heads) == 3
    for one in heads:
        sums: dict[str, float] = defaultdict(float)
        for row in map_rows(one):
            assert isinstance(row["value"], float) and row["value"] > -1e-9
            sums[str(row["row"])] += row["value"]
        assert list(sums.values()) == pytest.approx([1.0] * len(one.sources), abs=1e-5)
        assert [len(weights) for weights in one.sources] == [one.n_before + at + 1 for at in range(len(one.sources))]
        peaks = [max(column) for column in zip(*one.memories, strict=True)]
        assert peaks == sorted(peaks, reverse=True) and len({str(cell) for cell in one.cells}) == len(one.cells)
