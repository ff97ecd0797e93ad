"""Streaming top-t against sorting everything."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.index.state.topk import TopT, merge, pack, unpack
from ffmem.store.keys import EMPTY, NO_TOKEN


def brute_force(triggers: list[tuple[float, int]], top: int) -> list[tuple[float, int]]:
    """The definition: positive ones, larger coefficient first, then smaller token."""
    return sorted((t for t in triggers if t[0] > 0), key=lambda t: (-t[0], t[1]))[:top]


def stream(scores: np.ndarray, tokens: np.ndarray, top: int, splits: list[int]) -> TopT:
    """Feed rows of scores (rows, cells), each with a token index a row, in pieces."""
    lists = TopT(scores.shape[1], top)
    for rows in np.split(np.arange(len(scores)), splits):
        if len(rows):
            of_rows = torch.from_numpy(tokens[rows])
            lists.update(torch.from_numpy(scores[rows]), lambda r, _, of_rows=of_rows: of_rows[r])
    return lists


def as_lists(keys: torch.Tensor) -> list[list[tuple[float, int]]]:
    coefficients, tokens = unpack(keys)
    return [
        [(c, t) for c, t, k in zip(cs, ts, ks, strict=True) if k != EMPTY]
        for cs, ts, ks in zip(coefficients.tolist(), tokens.tolist(), keys.tolist(), strict=True)
    ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_equals_sorting_everything_with_many_ties(data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, 150))
    n_cells, top = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    scores = (rng.integers(-3, 6, size=(n_rows, n_cells)) / 4).astype(np.float32)  # few values: ties everywhere
    tokens = rng.permutation(10 * n_rows)[:n_rows].astype(np.int64)
    splits = sorted(data.draw(st.lists(st.integers(0, n_rows), max_size=6)))
    found = as_lists(stream(scores, tokens, top, splits).keys())
    for cell in range(n_cells):
        expected = brute_force(list(zip(scores[:, cell].tolist(), tokens.tolist(), strict=True)), top)
        assert found[cell] == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_merging_is_associative_and_equals_one_list(seed: int, top: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-3, 9, size=(90, 4)) / 8).astype(np.float32)
    tokens = rng.permutation(1000)[:90].astype(np.int64)
    parts = [stream(scores[i::3], tokens[i::3], top, []).keys() for i in range(3)]
    whole = stream(scores, tokens, top, [10, 50]).keys()
    assert torch.equal(merge(merge(parts[0], parts[1]), parts[2]), whole)
    assert torch.equal(merge(parts[2], merge(parts[1], parts[0])), whole)


def test_goes_on_from_a_saved_list() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(300, 7)).astype(np.float32)
    tokens = np.arange(300)
    first = stream(scores[:120], tokens[:120], 20, [33])
    resumed = TopT(7, 20)
    resumed.load(first.keys())
    resumed.update(torch.from_numpy(scores[120:]), lambda rows, _: rows + 120)
    assert torch.equal(resumed.keys(), stream(scores, tokens, 20, []).keys())


def test_zero_and_negative_never_enter() -> None:
    lists = TopT(3, 2)
    lists.update(torch.tensor([[0.0, -1.0, 1e-45]]), lambda rows, _: rows)
    assert as_lists(lists.keys()) == [[], [], [(pytest.approx(1e-45), 0)]]


def test_the_position_is_looked_up_for_candidates_only() -> None:
    lists = TopT(1, 1)
    asked = []

    def locate(rows: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return rows

    lists.update(torch.ones(1, 1) * 5, locate)
    lists.keys()
    lists.update(torch.ones(10, 1), locate)
    assert asked == [1]


def test_keys_keep_bits_and_the_largest_token() -> None:
    coefficients = torch.tensor([1e-45, 1.1754944e-38, 1.0, 3.4028235e38])
    tokens = torch.tensor([0, NO_TOKEN - 1, 7, 2**31])
    back = unpack(pack(coefficients, tokens))
    assert torch.equal(back[0], coefficients) and torch.equal(back[1], tokens)
    assert (pack(coefficients, tokens) > EMPTY).all()
