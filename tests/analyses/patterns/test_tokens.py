"""The tokens of an index as arrays, against loops over its sentences."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.patterns import tokens as module
from ffmem.analyses.patterns.tokens import Tokens, mix, ragged


def made(lengths: list[int], n_held_out: int = 0, skipped: int = 0) -> Tokens:
    """Sentences of random tokens; about half the tokens touch the one before."""
    rng = np.random.default_rng(0)
    n = sum(lengths)
    first = np.cumsum(rng.integers(2, 4, n))
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    skip = np.full(len(lengths), skipped, dtype=np.int64)
    return Tokens(rng.integers(0, 5, n), first, first + 2, start, len(lengths) - n_held_out, skip)


def pairs(tokens: Tokens) -> list[tuple[int, int]]:
    """(sentence, position) of every token, one after the other."""
    lengths = np.diff(tokens.start)
    return [(sentence, position) for sentence, n in enumerate(lengths) for position in range(n)]


@pytest.mark.parametrize("lengths", [[1], [3, 1, 4, 1, 5], [2] * 20])
def test_sentence_and_position(lengths: list[int]) -> None:
    tokens = made(lengths)
    ends = np.arange(sum(lengths))
    places = zip(tokens.sentence_of(ends).tolist(), tokens.position_of(ends).tolist(), strict=True)
    assert list(places) == pairs(tokens)


def test_joined_is_within_a_sentence_and_without_space() -> None:
    tokens = made([3, 1, 4, 1, 5, 9])
    expected = [
        position > 0 and tokens.first_byte[end] == tokens.end_byte[end - 1]
        for end, (_, position) in enumerate(pairs(tokens))
    ]
    assert tokens.joined(np.arange(len(expected))).tolist() == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("skipped", [0, 1, 3])
@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_blocks_are_all_that_compete_in_order(skipped: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_TOKENS", block)
    tokens = made([3, 1, 4, 1, 5, 9, 2, 6], n_held_out=2, skipped=skipped)
    expected = [end for end, (s, p) in enumerate(pairs(tokens)) if s < tokens.n_sentences and p >= skipped]
    blocks = list(tokens.blocks())
    assert np.concatenate(blocks).tolist() == expected and tokens.n_prefixes == len(expected)
    sentences = [set(tokens.sentence_of(ends).tolist()) for ends in blocks]
    assert sum(map(len, sentences)) == len(set().union(*sentences))  # none is cut


def test_random_prefixes_are_even_over_all_that_compete() -> None:
    tokens = made([3, 1, 4, 1, 5, 9, 2, 6], n_held_out=2, skipped=1)
    competing = np.concatenate(list(tokens.blocks()))
    n = 20_000
    counts = Counter(tokens.random(n, np.random.default_rng(1)).tolist())
    assert set(counts) == set(competing.tolist())
    expected = n / len(competing)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 3 * len(competing)  # far beyond what chance gives (about len(competing))


def test_prefixes_of_the_same_tokens_have_the_same_hash() -> None:
    rows = [[1, 2], [2, 1], [1, 2], [1], [1, 2, 0], [0, 1, 2], [2, 1], [0]]
    ids = np.concatenate([np.array(row) for row in rows])
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    tokens = Tokens(ids, ids, ids, start, len(rows), np.zeros(len(rows), dtype=np.int64))
    order = np.random.default_rng(0).permutation(len(ids))
    prefixes = {int(start[s]) + p: tuple(row[: p + 1]) for s, row in enumerate(rows) for p in range(len(row))}
    hashes = tokens.prefix_hash(order)
    for i, a in enumerate(order.tolist()):
        for j, b in enumerate(order.tolist()):
            assert (hashes[i] == hashes[j]) == (prefixes[a] == prefixes[b])
    assert len(tokens.prefix_hash(np.array([], dtype=np.int64))) == 0


def test_mixing_is_the_finaliser_of_murmur_hash() -> None:
    def slow(x: int) -> int:
        mask = 2**64 - 1
        x ^= x >> 33
        x = x * 0xFF51AFD7ED558CCD & mask
        x ^= x >> 33
        x = x * 0xC4CEB9FE1A85EC53 & mask
        return x ^ x >> 33

    numbers = [0, 1, 2**63, 2**64 - 1, *np.random.default_rng(0).integers(0, 2**63, 50).tolist()]
    assert mix(np.array(numbers, dtype=np.uint64)).tolist() == [slow(number) for number in numbers]


def test_ragged_ranges() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, lengths = rng.integers(0, 100, 6), rng.integers(0, 4, 6)
        expected = [i for a, n in zip(first, lengths, strict=True) for i in range(a, a + n)]
        assert ragged(first, lengths).tolist() == expected


def test_an_index_says_the_same_sentence_by_sentence(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    tokens = Tokens.of(index)
    skip = index.manifest.options.skip_first
    for number in (0, 1, index.text.n_sentences - 1, index.text.n_all_sentences - 1):
        sentence = index.text.sentence(number)
        first, end = tokens.start[number : number + 2]
        assert tokens.token_id[first:end].tolist() == sentence.token_ids.tolist()
        assert tokens.n_skipped[number] == skip
    assert tokens.n_sentences == index.text.n_sentences
