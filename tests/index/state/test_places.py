"""Where the positions of a batch are told to a device."""

import numpy as np
import pytest
import torch

from ffmem.index.state.places import Places, to_device

LENGTHS, TOKENS = np.array([3, 1, -1]), np.array([[10, 11, 12], [20, 21, 22], [30, 31, 32]])


@pytest.mark.parametrize("sample_keys", [None, TOKENS + 100])
@pytest.mark.parametrize("every_position", [False, True])
def test_each_competing_position_is_listed_where_it_is_asked_for(
    sample_keys: np.ndarray | None, every_position: bool
) -> None:
    places = Places(2, LENGTHS, TOKENS, sample_keys)
    there = places.on(torch.device("cpu"), every_position)
    assert there.lengths.tolist() == [3, 1, 0] and there.lengths.dtype == torch.int32
    expected = [[0, 0, 0, 1], [0, 1, 2, 0]] if every_position or sample_keys is not None else [[], []]
    assert there.rows.tolist() == expected
    assert there.tokens[there.rows[0], there.rows[1]].tolist() == [10, 11, 12, 20][: len(expected[0])]
    assert there.sample_keys.tolist() == ([[], [], []] if sample_keys is None else sample_keys.tolist())
    assert places.on(torch.device("cpu"), every_position) is there


def test_an_array_that_is_no_whole_becomes_a_tensor_of_its_numbers() -> None:
    assert to_device(TOKENS[:, ::2], "cpu").tolist() == [[10, 12], [20, 22], [30, 32]]
