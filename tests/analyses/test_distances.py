"""Distances of distributions: symmetry, bounds, and what they are by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.distances import jsd, kl, tvd

numbers = st.lists(st.floats(-30, 30), min_size=2, max_size=12)


@given(numbers, st.randoms())
def test_18_bounds_and_symmetry(scores: list[float], random: object) -> None:
    p = torch.tensor(scores, dtype=torch.float64).log_softmax(-1)
    q = p[torch.randperm(len(p), generator=torch.Generator().manual_seed(random.randrange(2**31)))]  # type: ignore[attr-defined]
    assert 0 <= float(jsd(p, q)) <= math.log(2) + 1e-12
    assert 0 <= float(tvd(p, q)) <= 1 + 1e-12
    assert float(kl(p, q)) >= 0
    assert float(jsd(p, q)) == pytest.approx(float(jsd(q, p)), abs=1e-12)
    assert float(tvd(p, q)) == pytest.approx(float(tvd(q, p)), abs=1e-12)
    assert float(kl(p, p)) == float(tvd(p, p)) == 0
    assert float(jsd(p, p)) == pytest.approx(0, abs=1e-15)


def test_by_hand() -> None:
    p, q = (torch.tensor(one, dtype=torch.float64).log() for one in ([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]))
    assert float(tvd(p, q)) == pytest.approx(0.5)
    assert float(kl(q, p)) == pytest.approx(math.log(2))  # q changed into p: sum of p log(p / q)
    middle = [0.375, 0.375, 0.25]
    expected = 0.5 * 2 * 0.5 * math.log(0.5 / middle[0])
    expected += 0.5 * (2 * 0.25 * math.log(0.25 / middle[0]) + 0.5 * math.log(0.5 / middle[2]))
    assert float(jsd(p, q)) == pytest.approx(expected)
    apart = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).log()
    assert float(jsd(apart[0], apart[1])) == pytest.approx(math.log(2)) and float(tvd(apart[0], apart[1])) == 1
