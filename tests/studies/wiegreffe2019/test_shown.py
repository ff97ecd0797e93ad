import numpy as np
import pytest

from ffmem.analyses.intervals import Uncertain
from ffmem.studies.wiegreffe2019.shown import ByDocument, told


def test_a_mean_leaves_out_what_is_not_there() -> None:
    at = ByDocument(np.array([3, 3, 8]))
    found = at.mean(np.array([1.0, np.nan, 4.0]))
    assert (at.n_documents, found.value, found.n, found.n_groups) == (2, 2.5, 2, 2)
    assert at.estimate(np.array([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]])).value == pytest.approx(2.0)


def test_an_interval_is_told_where_there_is_one() -> None:
    assert told(Uncertain(0.5, np.nan, 1, 3)) == "+0.5 nats"
    assert told(Uncertain(0.5, 0.0, 9, 3)) == "+0.5 nats (+0.5 to +0.5)"
