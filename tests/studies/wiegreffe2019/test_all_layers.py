"""What the page says of all heads, against the arrays beside it and a pass by itself."""

import numpy as np
import pytest

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.all_layers import CONDITIONS, EXPERIMENT, AllHeadsResult, costs_in


def test_the_numbers_of_the_page_are_those_of_the_arrays(diagnosed: Results) -> None:
    findings = findings_of(diagnosed)
    found, costs = findings.get(EXPERIMENT, AllHeadsResult), costs_in(findings)
    assert found.n_positions == len(costs.loss) > 30 and found.n_heads == 12
    assert [(one.patch, one.keep_first) for one in found.costs] == list(CONDITIONS)
    assert [one.change.value for one in found.costs] == pytest.approx(costs.change.mean(0).tolist())
    assert found.own_distance < 1e-5 and costs.divergence.min() >= 0 and costs.distance.max() <= 1
    own = CONDITIONS.index(("own", False))
    assert np.abs(costs.change[:, own]).max() < 1e-4 < np.abs(costs.change[:, 0]).max()
