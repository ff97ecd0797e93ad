"""Exposure of canaries that the model knows by hand, and of those that it does not."""

import numpy as np
import pytest

from ffmem.studies.carlini2021.canaries import CanariesResult, correlated
from ffmem.studies.report import Report
from ffmem.studies.results import Findings


def test_what_the_model_knows_is_exposed_and_the_rest_is_not(audited: tuple[Findings, Report]) -> None:
    findings, report = audited
    found = findings.get("canaries", CanariesResult)
    assert found.bits == pytest.approx(3 * np.log2(6)) and found.n_drawn == 216  # all fillings are fewer than are drawn
    known, also, never, no = (one.exposure for one in found.canaries)
    assert min(known, also) > 5 and max(never, no) < 3
    assert {
        name: one.ours for name, one in report.numbers if one.quantity.startswith("mean exposure, canaries inserted 8")
    }
    assert found.canaries[0].text == "the door is one two three open" and found.canaries[0].exact


def test_a_rank_correlation_is_as_uncertain_as_its_canaries() -> None:
    rng = np.random.default_rng(0)
    counts = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], 8)
    exact = correlated(counts, np.log2(counts))
    noisy = correlated(counts, np.log2(counts) + rng.normal(0, 2, 40))
    none = correlated(counts, rng.normal(size=40))
    assert exact.value == pytest.approx(1) and exact.value > noisy.value > none.value
    assert none.interval()[0] < 0 < none.interval()[1] and 0 < noisy.error < none.error
