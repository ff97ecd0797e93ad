"""What is said about prefixes, against loops over their tokens."""

from collections import defaultdict

import numpy as np
import pytest

from ffmem.analyses.patterns.kinds import CLASS_OF, GRAM_LENGTH, KINDS, Features, Kind, gram_codes
from ffmem.analyses.patterns.lexical import Shapes
from ffmem.analyses.patterns.tokens import Tokens

ROWS = [[1, 2, 3, 1, 2, 3], [0], [1, 2], [3, 3, 3, 3, 3], [2, 3, 1, 2]]


@pytest.fixture
def features() -> Features:
    ids = np.concatenate([np.array(row) for row in ROWS])
    start = np.concatenate([[0], np.cumsum([len(row) for row in ROWS])]).astype(np.int64)
    places = 2 * np.arange(len(ids))
    tokens = Tokens(ids, places, places + 1, start, len(ROWS), np.zeros(len(ROWS), dtype=np.int64))
    return Features(tokens, Shapes.of_vocabulary(["a", "B", "1", "."]), None)


def prefixes() -> list[list[int]]:
    return [row[: position + 1] for row in ROWS for position in range(len(row))]


def slow(kind: Kind, prefix: list[int]) -> list[tuple[int, ...]]:
    """Values of one prefix, an n-gram as often as it is there."""
    n = GRAM_LENGTH.get(kind)
    if kind == "token":
        return [(prefix[-1],)]
    if kind == "position":
        return [(len(prefix) - 1,)]
    assert n is not None
    if kind.startswith("final"):
        return [tuple(prefix[-n:])] if len(prefix) >= n else []
    return [tuple(prefix[i : i + n]) for i in range(len(prefix) - n + 1)]


@pytest.mark.parametrize("kind", ["token", "position", *GRAM_LENGTH])
def test_values_are_those_of_a_loop(kind: Kind, features: Features) -> None:
    ends = np.arange(sum(map(len, ROWS)))
    having = features.of(kind, ends)
    by_value: dict[int, set[tuple[int, ...]]] = defaultdict(set)
    of_prefix: dict[int, list[int]] = defaultdict(list)
    for value, prefix in zip(having.value.tolist(), having.prefix.tolist(), strict=True):
        of_prefix[prefix].append(value)
    codes: dict[tuple[int, ...], int] = {}
    for number, prefix in enumerate(prefixes()):
        expected = slow(kind, prefix)
        assert len(of_prefix[number]) == len(expected)
        for value, gram in zip(of_prefix[number], expected, strict=True):
            assert codes.setdefault(gram, value) == value  # the same value wherever it is
            by_value[value].add(gram)
    assert all(len(grams) == 1 for grams in by_value.values()) and codes


def test_where_an_n_gram_ends(features: Features) -> None:
    for kind, n in GRAM_LENGTH.items():
        having = features.of(kind, np.arange(sum(map(len, ROWS))))
        assert (features.tokens.position_of(having.end) >= n - 1).all()
        assert (features.tokens.sentence_of(having.end) == features.tokens.sentence_of(having.prefix)).all()
        if kind.startswith("final"):
            assert (having.end == having.prefix).all()


def test_codes_of_n_grams_depend_on_the_order(features: Features) -> None:
    ends = np.array([1, 2, 3, 4])  # (1, 2), (2, 3), (3, 1), (1, 2)
    codes = gram_codes(features.tokens, ends, 2).tolist()
    assert codes[0] == codes[3] and len(set(codes)) == 3


def test_kinds_without_meaning(features: Features) -> None:
    assert features.kinds == tuple(kind for kind in KINDS if CLASS_OF[kind] != "semantic")
    assert {CLASS_OF[kind] for kind in GRAM_LENGTH} == {"shallow"} and CLASS_OF["shape"] == "lexical"
