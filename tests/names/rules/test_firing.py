import numpy as np
import pytest

from ffmem.names.rules.firing import Sampled, explained, firing, thresholds, together
from tests.names.rules.texts import made_text


def test_a_unit_fires_at_the_strongest_hundredth_by_the_weights() -> None:
    text = made_text(400)
    n = len(text.token)
    half = text.quarter_of >> 1
    rng = np.random.default_rng(0)
    coefficient = rng.standard_normal((2, n)).astype(np.float32)
    coefficient[1] = np.where(rng.random(n) < 0.002, 1.0 + rng.random(n), -1.0)  # above 0 at fewer than 1 %
    sampled = Sampled(np.tile(np.arange(n), (2, 1)), coefficient, np.ones((2, n)))
    found = thresholds(text, sampled, 0)
    inside = np.sort(coefficient[0][half == 0])[::-1]
    assert found[0] == inside[int(0.01 * len(inside)) - 1]
    assert found[1] == coefficient[1][(half == 0) & (coefficient[1] > 0)].min()
    held_out = firing(text, sampled, found, 1)
    expected = np.flatnonzero((half == 1) & (coefficient[0] >= found[0]))
    assert held_out.token[held_out.unit == 0].tolist() == expected.tolist()
    assert held_out.total[0] == len(expected)


def test_what_firing_explains_is_a_ratio_of_variances() -> None:
    text = made_text(400)
    here = np.flatnonzero(text.competes)
    rng = np.random.default_rng(0)
    value = np.maximum(rng.standard_normal(len(here)), 0).astype(np.float32) ** 3
    sampled = Sampled(here[None], value[None], np.ones((1, len(here))))
    threshold = thresholds(text, sampled, 0)
    both = together(*(firing(text, sampled, threshold, half) for half in (0, 1)))
    fires = value >= threshold[0]
    between = fires.mean() * value[fires].mean() ** 2 + (~fires).mean() * value[~fires].mean() ** 2 - value.mean() ** 2
    assert explained(text, sampled, both)[0] == pytest.approx(between / value.var(), rel=1e-4)
