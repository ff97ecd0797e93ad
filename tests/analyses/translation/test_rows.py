"""Vectors that a probe reads, against loops over words."""

import pytest
import torch

from ffmem.analyses.translation.rows import fixed_rows, layer_of_highest_norm, mixed_rows, target_rows
from tests.analyses.translation.making import RIGHT, pairs_of

STATES = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
PAIRS = pairs_of(4, 6, STATES, 1)
ORDER = [2, 0, 3]


def test_a_mix_is_the_sum_over_maps_and_tokens() -> None:
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = iter(mixed_rows(PAIRS, 0).of(ORDER, shares))
    for pair in (PAIRS[number] for number in ORDER):
        for row in range(len(pair.targets)):
            expected = torch.zeros(5)
            for number, share in enumerate(shares):
                for token in range(pair.source.shape[1]):
                    expected += share * pair.weights[number, row, token] * pair.source[0, token]
            assert torch.allclose(next(found), expected, atol=1e-5)
    assert next(found, None) is None


def test_check_a_one_hot_mix_is_that_head() -> None:
    shares = torch.nn.functional.one_hot(torch.tensor(RIGHT), 4).float()
    expected = torch.cat([PAIRS[number].target[0] for number in ORDER])  # its source word, exactly
    assert torch.equal(mixed_rows(PAIRS, 0).of(ORDER, shares), expected)
    assert torch.equal(target_rows(PAIRS, 0).of(ORDER), expected) and mixed_rows(PAIRS, 0).n_maps == 4


def test_maps_that_are_not_trained() -> None:
    uniform, norms = fixed_rows(PAIRS, 0, "uniform").of([1]), fixed_rows(PAIRS, 0, "norms", 1).of([1])
    assert torch.allclose(uniform, PAIRS[1].source[0].mean(0).expand_as(uniform), atol=1e-6)
    assert torch.allclose(norms, PAIRS[1].target[0], atol=1e-6)  # three times the right map: rows are made to sum to 1


def test_shuffled_states_are_the_same_ones_elsewhere() -> None:
    plain, shuffled = mixed_rows(PAIRS, 0), mixed_rows(PAIRS, 0, shuffled=3)
    moved = 0
    for before, after in zip(plain.states, shuffled.states, strict=True):
        assert torch.equal(before[-1], after[-1])  # no own token: it stays
        assert sorted(before.tolist()) == sorted(after.tolist())
        moved += int((before != after).any())
    assert moved >= 3 and all(a is b for a, b in zip(plain.maps, shuffled.maps, strict=True))
    again = mixed_rows(PAIRS, 0, shuffled=3)
    assert all(torch.equal(a, b) for a, b in zip(shuffled.states, again.states, strict=True))


@pytest.mark.parametrize("highest", [0, 1])
def test_the_layer_of_highest_norm(highest: int) -> None:
    for pair in (pairs := pairs_of(3, 6, STATES, 2)):
        pair.norms[highest] *= 1.5
    assert layer_of_highest_norm(pairs) == highest
