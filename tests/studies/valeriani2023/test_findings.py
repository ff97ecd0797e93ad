from pathlib import Path

import numpy as np
import pytest

from ffmem.studies.valeriani2023.findings import Profile, blind_draws, geometry, line_rows_of, profile, titled
from tests.studies.valeriani2023.planted import planted


def made(values: list[float]) -> Profile:
    halves = np.array(values)[:, None] + np.random.default_rng(0).normal(0, 0.1, (len(values), 60))
    return Profile.of(np.array(values), halves, [f"L{i}" for i in range(len(values))], 50, 100)


def test_the_minimum_is_the_least_after_the_peak() -> None:
    assert (made([1, 5, 9, 4, 3, 6]).peak, made([1, 5, 9, 4, 3, 6]).minimum) == (2, 4)
    assert made([1, 2, 3]).minimum is None and made([3, 1, 2]).minimum == 1


def test_halves_of_another_scale_lie_about_the_value_of_all() -> None:
    found = Profile.of(np.array([4.0]), np.full((1, 60), 7.0) + np.linspace(-1, 1, 60), ["L0"], 50, 100)
    assert found.draws.mean() == pytest.approx(4)


def test_what_was_chosen_is_corrected_for_that() -> None:
    """Of layers that are all alike the largest is above the others by chance alone: that must not be told."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(60):
        values = 10 + rng.normal(0, 0.1, 12)
        halves = values[:, None] + rng.normal(0, 0.1, (12, 60))
        one = Profile.of(values, halves, [str(i) for i in range(12)], 50, 100)
        wrong += one.over(0).interval()[0] > 0
    assert wrong <= 6


def test_profiles_are_what_was_kept(tmp_path: Path) -> None:
    findings = planted(tmp_path, [2, 6, 3], labelled=[0.1, 0.2, 0.4], near=[0.5, 0.9])
    assert profile(findings, "sentences", "o", "dimension", "").values.tolist() == [2, 6, 3]
    near = profile(findings, "sentences", "o", "near", "")
    assert near.values.tolist() == [0.5, 0.9] and near.names == ("L0", "L1")
    assert near.less(1, 0).value == pytest.approx(0.4)
    assert profile(findings, "sentences", "o", "labelled", "").means_less([2], [0, 1]).value == pytest.approx(0.25)
    assert blind_draws(findings).mean() == pytest.approx(0.2)
    rows = line_rows_of(geometry(findings), "o", "near", "x")
    assert [(row["layer"], row["value"]) for row in rows] == [(0, 0.5), (1, 0.9)]


def test_a_statement_says_of_which_stack_it_is_where_there_are_two() -> None:
    assert titled("enc", "it rises", True) == "it rises (the encoder)" and titled("", "it rises", False) == "it rises"
