"""Shortlists against sorting all scores in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ffmem.index.scan.shortlist as shortlists
from ffmem.index.scan.promoted import PromotedTokens, promoted_tokens, scorer
from ffmem.index.scan.shortlist import Shortlist, has_fast_bytes
from ffmem.models.unembedding import LinearScores

WAYS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(not has_fast_bytes(), reason="this processor has no fast bytes")),
]
K = 12


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(found: PromotedTokens, rows: torch.Tensor, matrix: torch.Tensor, k: int = K, off: float = 0.0) -> None:
    scores = (rows.double().numpy() @ matrix.double().numpy().T).astype(np.float32)
    for ids, values, sign in (
        (found.promoted_ids, found.promoted_scores, 1),
        (found.suppressed_ids, found.suppressed_scores, -1),
    ):
        assert len(ids) == len(rows)
        for row, own, given_ids, given_scores in zip(range(len(rows)), scores, ids, values, strict=True):
            expected = np.lexsort((np.arange(len(own)), -sign * own))[:k]
            assert given_ids.tolist() == expected.tolist(), row
            assert np.abs(given_scores.numpy() - own[expected]).max() <= off, row


def near_ties() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that differ by 2^-40 and less: equal in float32, but for few. All sums are exact in float64."""
    steps = torch.arange(300).roll(77)[:, None] * 2.0**-22
    matrix = torch.cat((torch.ones(300, 4), steps), dim=1)
    return torch.tensor([[1.0, 1, 1, 1, 2.0**-18], [1.0, -1, 1, -1, 2.0**-18], [1.0, 1, 1, 1, 1.0]]), matrix


def outliers() -> tuple[torch.Tensor, torch.Tensor]:
    rows, matrix = normal(20, 48), normal(3000, 48, seed=1) + 3
    rows[:, 5] *= 300
    matrix[:, 7] *= 200
    matrix[100] *= 1000
    return rows, matrix


def some_zeros() -> tuple[torch.Tensor, torch.Tensor]:
    rows, matrix = normal(5, 16), normal(700, 16, seed=1).abs()
    rows[1] = 0
    rows[2] = -rows[2].abs()  # all tokens but zeros are below these
    matrix[200:400] = 0
    return rows, matrix


CASES = {
    "random": lambda: (normal(300, 40), normal(5000, 40, seed=1)),
    "fewer tokens than wanted": lambda: (normal(3, 8), normal(7, 8, seed=1)),
    "one whole block": lambda: (normal(3, 8), normal(64, 8, seed=1)),
    "a last block of one": lambda: (normal(3, 37), normal(2049, 37, seed=1)),
    "whole numbers": lambda: (normal(50, 16).round(), normal(1000, 16, seed=1).round()),
    "equal tokens": lambda: (normal(9, 16), normal(3, 16, seed=1).repeat(400, 1)),
    "near ties": near_ties,
    "outliers": outliers,
    "zeros": some_zeros,
    "all zeros": lambda: (torch.zeros(2, 6), torch.zeros(200, 6)),
    "large": lambda: (normal(9, 16) * 1e17, normal(400, 16, seed=1) * 1e11),
    "smallest values": lambda: (normal(9, 16) * 1e-42, normal(400, 16, seed=1) * 1e20),
    "smallest tokens": lambda: (normal(9, 16) * 1e20, normal(400, 16, seed=1) * 1e-42),
    "smallest scores": lambda: (normal(9, 16) * 1e-22, normal(400, 16, seed=1) * 1e-22),
}


@pytest.mark.parametrize("in_bytes", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_equal_sorting_all_scores(case: str, in_bytes: bool) -> None:
    rows, matrix = CASES[case]()
    shortlist = Shortlist(matrix, in_bytes)
    assert shortlist.covers(rows)
    check(promoted_tokens(rows, shortlist, len(matrix), K), rows, matrix)


@pytest.mark.parametrize("in_bytes", WAYS)
def test_a_token_that_its_bound_rules_out_wrongly_would_be_missed(in_bytes: bool) -> None:
    """The tests above can fail: without bounds, what has a lower cheap score by rounding only is left out."""
    rows, matrix = normal(60, 40), normal(5000, 40, seed=1)
    if not in_bytes:  # products that cancel, but for what float32 rounds
        rows[:, :2], matrix[:, 1] = 1e6, -matrix[:, 0]
        rows[:, 2:] *= 0.01
    shortlist = Shortlist(matrix, in_bytes)
    check(promoted_tokens(rows, shortlist, len(matrix), K), rows, matrix, off=1e-6)
    none = [np.zeros_like(one) for one in shortlist._tokens[2:]]
    shortlist._tokens = shortlist._tokens._replace(**dict(zip(shortlist._tokens._fields[2:], none, strict=True)))
    with pytest.raises(AssertionError):
        check(promoted_tokens(rows, shortlist, len(matrix), K), rows, matrix, off=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    d_model=st.integers(1, 70),
    row_scale=st.integers(-40, 15),
    token_scale=st.integers(-40, 14),
    spread=st.integers(0, 12),
    shift=st.floats(-3, 3),
    in_bytes=st.sampled_from([False, True]),
)
def test_no_score_is_off_by_more_than_its_bound(
    seed: int, d_model: int, row_scale: int, token_scale: int, spread: int, shift: float, in_bytes: bool
) -> None:
    """Whole numbers are multiplied here in int64: what is tested is the bound, not the processor's products."""
    random = np.random.default_rng(seed)

    def vectors(n: int, scale: int) -> torch.Tensor:
        sizes = 10.0 ** random.integers(-spread, 1, size=(n, d_model))
        made = (random.standard_normal((n, d_model)) + shift) * sizes * 10.0**scale
        made[random.random(made.shape) < 0.1] = 0
        return torch.from_numpy(made.astype(np.float32))

    rows, matrix = vectors(6, row_scale), vectors(70, token_scale)
    shortlist = Shortlist(matrix, in_bytes)
    own, codes = shortlist._rows(rows)
    tokens = shortlist._tokens
    products = (codes.long() @ shortlist._codes.long().T if in_bytes else codes @ shortlist._codes.T).numpy()
    cheap = products.astype(np.float32) * tokens.unit
    scores = rows.double().numpy() @ matrix.double().numpy().T
    bound = own.per_residual[:, None] * tokens.residual + own.per_length[:, None] * tokens.length
    off = np.abs(scores - own.offset[:, None] - own.unit[:, None] * cheap)
    assert (off <= own.unit[:, None] * bound.astype(np.float64) + own.slack[:, None]).all()
    # a token below the floor that the bound of another gives has the lower score, also in float32
    upper, floor = cheap + bound, cheap - bound - own.gap[:, None]
    with np.errstate(over="ignore"):
        rounded = scores.astype(np.float32)
    assert (rounded[:, :, None] < rounded[:, None])[upper[:, :, None] < floor[:, None]].all()


@pytest.mark.parametrize("in_bytes", WAYS)
def test_what_waits_beyond_the_room_is_scored_at_once(in_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, matrix = normal(9, 16), normal(3, 16, seed=1).repeat(400, 1) + normal(1200, 16, seed=2) * 1e-4
    expected = promoted_tokens(rows, Shortlist(matrix, in_bytes), 1200, K)
    monkeypatch.setattr(shortlists, "_TILE", 2 * shortlists.BLOCK)
    monkeypatch.setattr(shortlists, "_ROOM", 4 * shortlists.BLOCK)
    check(expected, rows, matrix, off=1e-6)
    check(promoted_tokens(rows, Shortlist(matrix, in_bytes), 1200, K), rows, matrix, off=1e-6)


def test_scores_do_not_depend_on_what_is_projected_beside_them() -> None:
    rows, matrix = normal(300, 33), normal(900, 33, seed=1)
    whole = promoted_tokens(rows, scorer(LinearScores(matrix), 10_000), 900, K)
    for row in (0, 255, 256, 299):
        alone = promoted_tokens(rows[row : row + 1], Shortlist(matrix, in_bytes=False), 900, K)
        assert torch.equal(alone.promoted_ids[0], whole.promoted_ids[row])
        assert torch.equal(alone.promoted_scores[0], whole.promoted_scores[row])
        assert torch.equal(alone.suppressed_scores[0], whole.suppressed_scores[row])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 3e38])
@pytest.mark.parametrize("where", ["rows", "matrix"])
def test_numbers_that_are_not_finite_or_too_large_take_the_plain_way(bad: float, where: str) -> None:
    rows, matrix = normal(3, 8), normal(100, 8, seed=1)
    (rows if where == "rows" else matrix)[1, 2] = bad
    shortlist = Shortlist(matrix)
    assert not shortlist.covers(rows)
    found = promoted_tokens(rows, shortlist, 100, K)
    plain = promoted_tokens(rows, LinearScores(matrix), 100, K)
    assert torch.equal(found.promoted_ids, plain.promoted_ids)
    assert torch.equal(found.suppressed_scores, plain.suppressed_scores) or bad != 3e38


def test_products_of_lengths_that_might_overflow_take_the_plain_way() -> None:
    assert not Shortlist(torch.full((5, 4), 1e20)).covers(torch.full((2, 4), 1e20))


def test_no_values_have_no_tokens() -> None:
    assert promoted_tokens(torch.empty(0, 8), Shortlist(normal(100, 8)), 100, K).promoted_ids.shape == (0, K)


def test_bytes_are_used_only_where_they_are_fast_and_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    uncached = has_fast_bytes.__wrapped__
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert not uncached()
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: (a.long() @ b.long()).int())
    assert uncached()
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: (a.long() @ b.long()).int().clamp(-(2**15), 2**15 - 1))
    assert not uncached()


def test_what_is_turned_keeps_its_lengths() -> None:
    for d_model in (1, 2, 48, 61, 67, 128):
        turn = shortlists._turn(d_model)
        assert d_model % len(turn) == 0
        torch.testing.assert_close(turn @ turn.T, torch.eye(len(turn)), atol=1e-6, rtol=0)


def test_few_values_are_not_worth_a_copy_in_bytes() -> None:
    matrix = normal(100, 8)
    few = scorer(LinearScores(matrix), 100)
    assert isinstance(few, Shortlist)
    assert few._codes is few.matrix
    many = scorer(LinearScores(matrix), 10_000)
    assert isinstance(many, Shortlist)
    assert (many._codes.dtype == torch.int8) == has_fast_bytes()


@pytest.mark.parametrize("in_bytes", WAYS)
@pytest.mark.parametrize("k", [1, 2, 63, 64, 65])
@pytest.mark.parametrize("d_vocab", [1, 64, 200])
def test_any_number_of_tokens_is_found_of_any_vocabulary(in_bytes: bool, k: int, d_vocab: int) -> None:
    rows, matrix = normal(3, 8), normal(d_vocab, 8, seed=1)
    check(promoted_tokens(rows, Shortlist(matrix, in_bytes), d_vocab, k), rows, matrix, min(k, d_vocab), 1e-6)
