"""Tails, thresholds, random prefixes and word shapes, each against a definition."""

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from ffmem.analyses.patterns import chance
from ffmem.analyses.patterns.chance import binomial_tail, discovery_threshold
from ffmem.analyses.patterns.lexical import SHAPES, shape_of
from ffmem.analyses.patterns.tokens import Tokens, ragged


def test_tails_are_exact() -> None:
    cases = [
        (k, n, f)
        for n in (0, 3, 7, 25)
        for k in range(1, n + 1)
        for f in (Fraction(1, 10**8), Fraction(1, 3), Fraction(1))
    ]
    found = binomial_tail(
        *(np.array([case[i] for case in cases]) for i in (0, 1)), np.array([float(f) for *_, f in cases])
    )
    for (k, n, f), p in zip(cases, found.tolist(), strict=True):
        exact = sum(math.comb(n, i) * f**i * (1 - f) ** (n - i) for i in range(k, n + 1))
        assert p == pytest.approx(float(exact), rel=1e-9)


def test_the_threshold_holds_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        true, false = rng.uniform(0, 1e-3, 20), rng.uniform(0, 1, 180)
        threshold = discovery_threshold(np.concatenate([true, false]), 0.05)
        n_false = int((false <= threshold).sum())
        rates.append(n_false / max(n_false + int((true <= threshold).sum()), 1))
    assert 0.03 < np.mean(rates) < 0.055  # q times the share of true nulls
    assert discovery_threshold(np.array([0.2, 0.9]), 0.05) == discovery_threshold(np.zeros(0), 0.05) == -1
    assert discovery_threshold(np.array([0.001, 0.04, 0.9, 0.03]), 0.05) == 0.001


@pytest.fixture(scope="module")
def cut_index(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Windows with context, and first positions that do not compete."""
    options = IndexOptions(top=5, promoted=5, split="windows:16:10", skip_first=2)
    out = tmp_path_factory.mktemp("cut") / "index"
    return ffmem.build_index(tiny_folder("opt"), corpus, out, options=options, run=RunOptions(workers=0))


def competing(index: Index) -> list[int]:
    context = index.text.context
    assert context is not None and context.any()
    found = []
    for i in range(index.text.n_sentences):
        first, end = index.text.sentence_range(i)
        found += range(first + max(2, int(context[i])), end)
    return found


def test_chance_draws_what_competes(cut_index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, expected = Tokens.of(cut_index), competing(cut_index)
    monkeypatch.setattr("ffmem.analyses.patterns.tokens.BLOCK_TOKENS", 100)
    blocks = list(tokens.blocks())
    assert len(blocks) > 10 and np.concatenate(blocks).tolist() == expected and tokens.n_prefixes == len(expected)
    drawn = Counter(tokens.random(20 * len(expected), np.random.default_rng(0)).tolist())
    assert set(drawn) <= set(expected)
    n = len(expected)
    chi_squared = sum((drawn[end] - 20) ** 2 / 20 for end in expected)
    assert abs(chi_squared - n) < 4 * math.sqrt(2 * n)
    stored = {int(i) for place in range(cut_index.n_layers) for i in cut_index.layer(place).trigger_token.ravel()}
    assert stored - {2**32 - 1} <= set(expected)


def test_n_grams_are_counted_in_parts_as_in_one(cut_index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, ids = Tokens.of(cut_index), cut_index.text.token_id.tolist()
    start = {cut_index.text.sentence_range(i)[0] for i in range(cut_index.text.n_sentences)}
    for n in (2, 3):
        ends = [e for e in competing(cut_index) if not any(e - back in start for back in range(n - 1))]
        counts = Counter(tuple(ids[e - n + 1 : e + 1]) for e in ends)
        expected = sum(count >= 3 for count in counts.values())
        for at_a_time in (2**25, 1000):
            monkeypatch.setattr(chance, "_CODES_AT_A_TIME", at_a_time)
            assert chance._n_frequent_grams(tokens, n) == expected > 0


def test_prefixes_of_the_same_tokens_have_the_same_number(cut_index: Index) -> None:
    tokens, text = Tokens.of(cut_index), cut_index.text
    ends = np.arange(int(tokens.start[-1]))
    different = {
        tuple(row[: end + 1])
        for row in (text.sentence(i).token_ids.tolist() for i in range(text.n_all_sentences))
        for end in range(len(row))
    }
    assert len(set(tokens.prefix_hash(ends[::-1]).tolist())) == len(different)


def test_ragged() -> None:
    assert ragged(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]


@pytest.mark.parametrize(
    ("token", "shape"),
    [
        (" the", "a lower-case word"), ("The", "a capitalised word"), (" I", "a capitalised word"),
        ("NATO", "a word in capitals"), ("日本", "a word without case"), (" 1984", "a number"), ("½", "a number"),
        (" (", "punctuation"), ("...", "punctuation"), ("\n\n", "white space"), ("iPhone", "mixed characters"),
        ("'t", "mixed characters"), ("3rd", "mixed characters"), ("\\xe2", "mixed characters"), ("", "white space"),
    ],
)  # fmt: skip
def test_shapes(token: str, shape: str) -> None:
    assert shape_of(token) == shape and shape in SHAPES
