"""Scores by hand, and differences word by word."""

import numpy as np
import pytest

from ffmem.studies.xu2021.findings import Compared, hits, is_there, points, sample, scores_of
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.shares import shares


def test_scores_by_hand() -> None:
    ranks = [np.array([0, 4, 5, 9]), np.array([0, 0, 1, 9])]
    found = scores_of(ranks, np.array([0, 0, 1, 2]))
    assert found.acc1.value == pytest.approx((1 + 2) / 8)
    assert found.acc5.value == pytest.approx((2 + 3) / 8)
    assert found.mrr.value == pytest.approx((1 + 1 / 5 + 1 / 6 + 1 / 10 + 1 + 1 + 1 / 2 + 1 / 10) / 8)
    assert hits(ranks).tolist() == [1, 0.5, 0, 0]


def test_differences_are_taken_word_by_word(made: Made) -> None:
    findings = made(shares([0.5, 0.6], [0.2, 0.7]))
    compared = Compared(findings)
    less = compared.mean(compared.of("enc.L0") - compared.of("enc.embeddings"))
    alone = compared.mean(compared.of("enc.L0"))
    assert less.value == pytest.approx(0.1, abs=0.03) and less.error < alone.error
    assert points(less).startswith(f"{100 * less.value:+.1f} points (+")
    assert compared.beside("own").mean() == pytest.approx(0.7, abs=0.05)
    assert is_there(findings) and sample(findings).startswith("800 tokens of the translations of 80 test pairs")
    del findings.values["place-dec.L0"]  # type: ignore[attr-defined]
    assert not is_there(findings)
