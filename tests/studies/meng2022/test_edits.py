"""What edits come to, from their arrays."""

import numpy as np
import pytest

from ffmem.studies.meng2022.conditions import answers_of
from ffmem.studies.meng2022.edits import arrays_of, compared, found_of, less, main_layer, one_of, title_of
from ffmem.studies.results import Findings


def test_ways_are_compared_at_one_layer(edit_findings: Findings) -> None:
    assert main_layer(edit_findings) == "L0"
    assert {one.layer for one in compared(edit_findings)} == {"", "L0"}
    assert {(one.way, one.layer) for one in found_of(edit_findings)} == {
        ("none", ""), ("prefix", ""), ("rome", "L0"), ("tune", "L0"), ("random cells", "L0"), ("memit, at once", "L0"),
        ("rome", "L1"), ("tune", "L1"), ("knowledge", ""),
    }  # fmt: skip
    rome = one_of(edit_findings, "rome")
    assert rome is not None and title_of(rome) == "rome, L0"
    assert one_of(edit_findings, "rome", "L7") is None


@pytest.mark.parametrize("kind", ["prompt", "paraphrase", "neighbour"])
def test_differences_are_of_the_same_facts(kind: str, edit_findings: Findings) -> None:
    rome, none = one_of(edit_findings, "rome"), one_of(edit_findings, "none")
    assert rome is not None and none is not None
    own, other = (answers_of(arrays_of(edit_findings, one)) for one in (rome, none))
    expected = np.mean(own.holds[own.of(kind)]) - np.mean(other.holds[other.of(kind)])  # type: ignore[arg-type]
    assert less(edit_findings, rome, none, kind).value == pytest.approx(expected)  # type: ignore[arg-type]
