"""Tokens that wait for exact scores against all bounds and all scores in numpy."""

import numpy as np

from ffmem.index.state.race_kernel import Race, enter, race, settle
from ffmem.index.state.shortlist_kernel import BLOCK, Rows, Tokens
from ffmem.store.keys import tokens_of

N_ROWS, D_VOCAB, D_MODEL, K = 3, 5 * BLOCK + 7, 12, 4


def setting(off: float) -> tuple[np.ndarray, Tokens, Rows]:
    """Cheap scores that are off by less than ``off``, with their bounds; the last row is of zeros."""
    random = np.random.default_rng(3)
    vectors = random.standard_normal((D_VOCAB, D_MODEL)).astype(np.float32)
    rows = random.standard_normal((N_ROWS, D_MODEL)).astype(np.float32)
    rows[-1] = 0
    errors = random.uniform(-off, off, (N_ROWS, D_VOCAB))
    products = ((rows @ vectors.T + errors) * 1000).astype(np.int32)
    residual = np.full(D_VOCAB, off + 0.002, np.float32)
    blocks = -(-D_VOCAB // BLOCK)
    zeros, unit = np.zeros(N_ROWS), np.array([1.0, 1.0, 0.0])
    tokens = Tokens(
        vectors,
        np.full(D_VOCAB, 0.001, np.float32),
        residual,
        np.zeros(D_VOCAB, np.float32),
        np.full(blocks, off + 0.002, np.float32),
        np.zeros(blocks, np.float32),
    )
    ones, none = np.ones(N_ROWS, np.float32), np.zeros(N_ROWS, np.float32)
    return products, tokens, Rows(rows, unit, zeros, zeros, np.full(N_ROWS, 1e-5, np.float32), ones, none)


def gone_through(off: float, each: int) -> tuple[Race, int, np.ndarray, Tokens, Rows]:
    products, tokens, rows = setting(off)
    state, waiting = race(rows.unit, K, 2 * N_ROWS * D_VOCAB), 0
    for first in range(0, D_VOCAB, each):
        some = np.ascontiguousarray(products[:, first : first + each])
        waiting = enter(some, first, tokens, rows, state, waiting)
    return state, waiting, products, tokens, rows


def best_by_sorting(tokens: Tokens, rows: Rows) -> list[set[int]]:
    scores = rows.vectors.astype(np.float64) @ tokens.vectors.T
    both = np.concatenate((scores, -scores)).astype(np.float32)
    return [set(np.lexsort((np.arange(D_VOCAB), -own))[:K].tolist()) for own in both]


def test_those_that_wait_are_all_that_reach_the_floor_and_few_others() -> None:
    state, waiting, products, _, _ = gone_through(0.3, 2 * BLOCK)
    for slot in range(2 * N_ROWS):
        own = products[slot % N_ROWS] * np.float32(0.001) * (1 if slot < N_ROWS else -1)
        waits = state.token[:waiting][state.slot[:waiting] == slot]
        if slot % N_ROWS == 2:
            assert len(waits) == 0  # a row of zeros needs no scores
            continue
        assert len(set(waits.tolist())) == len(waits) < D_VOCAB / 2
        floor = np.sort(own)[-K] - 0.302
        assert set(np.flatnonzero(own + 0.302 >= floor + 1e-4).tolist()) <= set(waits.tolist())
        assert abs(state.floor[slot] - floor) < 1e-4


def test_scores_of_the_highest_bounds_raise_the_floor_and_the_rest_gives_the_best() -> None:
    state, waiting, _, tokens, rows = gone_through(0.3, 2 * BLOCK)
    before = state.floor.copy()
    left, first_scored = settle(tokens, rows, state, waiting, False)
    assert first_scored == 2 * 2 * K
    assert (state.floor >= before).all()
    assert (state.floor > before).any()
    none, then_scored = settle(tokens, rows, state, left, True)
    assert none == 0
    assert 0 < then_scored <= left < waiting
    assert [set(one.tolist()) for one in tokens_of(state.best)] == best_by_sorting(tokens, rows)


def test_scoring_in_between_changes_nothing() -> None:
    for each in (BLOCK, D_VOCAB):
        products, tokens, rows = setting(0.1)
        state, waiting = race(rows.unit, K, 2 * N_ROWS * D_VOCAB), 0
        for first in range(0, D_VOCAB, each):
            some = np.ascontiguousarray(products[:, first : first + each])
            waiting = enter(some, first, tokens, rows, state, waiting)
            waiting, _ = settle(tokens, rows, state, waiting, first % (2 * BLOCK) == 0)
        settle(tokens, rows, state, waiting, True)
        assert [set(one.tolist()) for one in tokens_of(state.best)] == best_by_sorting(tokens, rows)
