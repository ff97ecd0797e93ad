import numpy as np
import pytest

from ffmem.analyses.intervals import Uncertain
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.sukhbaatar2019.shown import mean_of, told, use_of


def test_what_was_kept_comes_back(softmax_study: Results) -> None:
    use = use_of(findings_of(softmax_study), "use")
    assert use.loss.shape == use.context.shape == use.document.shape == (120,)
    assert use.active.shape == (120, 3) and use.highest.shape == (3, 192)


def test_a_mean_is_of_positions_and_then_of_columns() -> None:
    values = np.array([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    assert mean_of(values, np.array([0, 1, 1])).value == pytest.approx((0.5 + 0.5 / 3) / 2)


def test_an_interval_is_told_where_there_is_one() -> None:
    assert told(Uncertain(0.5, np.nan, 1, 3)) == "+0.5 nats"
    assert told(Uncertain(0.5, 0.0, 9, 3), "") == "+0.5 (+0.5 to +0.5)"
