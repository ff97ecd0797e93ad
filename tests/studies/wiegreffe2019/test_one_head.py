"""What the page says of single sub-layers and heads, against the arrays beside it."""

import pytest

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.one_head import EXPERIMENT, OneHeadResult


def test_the_numbers_of_the_page_are_those_of_the_arrays(diagnosed: Results) -> None:
    found, change = findings_of(diagnosed).get(EXPERIMENT, OneHeadResult), diagnosed.load_arrays(EXPERIMENT)["change"]
    assert [one.layer for one in found.layers] == ["L0", "L1", "L2"] and len(found.heads) == 5 and found.n_heads == 12
    told = [one.change[patch].value for one in found.layers for patch in ("uniform", "frozen", "norms")]
    assert told + [one.change.value for one in found.heads] == pytest.approx(change.mean(0).tolist(), abs=1e-12)
    assert len({(one.layer, one.head) for one in found.heads}) == 5
