"""Runs of tokens, against sets of them."""

from itertools import pairwise

import numpy as np
import pytest

from ffmem.queries.runs import KeptRuns, Runs, both, clipped, joined, no_runs, set_bits

N = 300


def drawn(seed: int, share: float) -> tuple[np.ndarray, Runs]:
    """A mask, and its runs, some of which are cut in two."""
    rng = np.random.default_rng(seed)
    mask = np.repeat(rng.random(N // 5) < share, rng.multinomial(N, np.ones(N // 5) / (N // 5)))
    edges = np.diff(mask, prepend=False, append=False) | np.append(mask & (rng.random(N) < 0.1), False)
    at = np.flatnonzero(edges | np.append(np.diff(mask, prepend=False), False))
    pairs = [(a, b) for a, b in pairwise(at.tolist()) if mask[a]]
    firsts, ends = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    return mask, (firsts, ends)


def mask_of(runs: Runs) -> np.ndarray:
    found = np.zeros(N, dtype=bool)
    for first, end in zip(*runs, strict=True):
        assert first < end and not found[first:end].any()
        found[first:end] = True
    return found


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_runs_equal_masks(seed: int, share: float) -> None:
    mask, runs = drawn(seed, share)
    other, others = drawn(seed + 100, 0.6)
    assert np.array_equal(mask_of(runs), mask)
    assert np.array_equal(mask_of(both(runs, others)), mask & other)
    assert np.array_equal(mask_of(both(others, runs)), mask & other)
    firsts, ends = joined(*runs)
    assert np.array_equal(mask_of((firsts, ends)), mask) and (firsts[1:] > ends[:-1]).all()
    inside = np.zeros(N, dtype=bool)
    inside[37:201] = True
    assert np.array_equal(mask_of(clipped(*runs, 37, 201)), mask & inside)
    bits = np.zeros(N // 8 + 1, dtype=np.uint8)
    bits[-1] = 0x80
    set_bits(bits, *runs)
    assert np.array_equal(np.unpackbits(bits, bitorder="little")[:N].astype(bool), mask) and bits[-1] >= 0x80
    for most, expected in ((len(firsts), (firsts, ends)), (len(firsts) - 1, None)):
        kept = KeptRuns(most)
        for first in range(0, N, 50):
            kept.add(*joined(*clipped(*runs, first, first + 50)))
        assert (kept.all is None) is (expected is None and most >= 0) or not len(firsts)
        if kept.all is not None:
            assert [one.tolist() for one in kept.all] == [firsts.tolist(), ends.tolist()]


def test_of_nothing_nothing_is_left() -> None:
    assert all(not len(one) for one in (*both(no_runs(), drawn(1, 0.5)[1]), *joined(*no_runs())))
