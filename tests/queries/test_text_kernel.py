"""Where a text ends in a sentence, compiled, against the expressions that find it."""

import random

import numpy as np
import pytest

from ffmem.queries.text_kernel import first_ends
from ffmem.queries.wanted import Wanted, literal, parse_words

ASKED = ["a", "ab", "AB", '"a b"', '"b a b"', "a-b", "_a", '"a, b"', "aba", '"1 a"', "k", "s", '"']
ASCII = ["a", "b", "A", "B", "ab", "aba", "-", "_", ",", " ", "  ", "\n", "\x1c", "1", "k", "s", '"']
OTHERS = ["\u017f", "\u212a", "é", "ß"]  # the first two are an s and a k to an expression in any case


def ends_of(wanted: Wanted, sentences: list[str]) -> np.ndarray:
    data = np.frombuffer(b"".join(one.encode() + b"\0" for one in sentences), dtype=np.uint8)
    ends = np.zeros(len(sentences), dtype=np.int64)
    for word in wanted.words:
        first_ends(data, np.frombuffer(b"\0".join(word.lower().encode().split()), dtype=np.uint8), True, ends)
    for one in wanted.literals:
        first_ends(data, np.frombuffer(one.text.lower().encode(), dtype=np.uint8), False, ends)
    return ends


@pytest.mark.parametrize("asked", ASKED)
def test_ends_equal_those_of_the_expressions(asked: str) -> None:
    drawn = random.Random(asked)
    kinds = [[*ASCII, asked.strip('"')]] * 4 + [ASCII + OTHERS]
    sentences = ["".join(drawn.choices(drawn.choice(kinds), k=drawn.randrange(16))) for _ in range(2000)]
    n_found = 0
    for wanted in (parse_words(asked), literal(asked)):
        for sentence, end in zip(sentences, ends_of(wanted, sentences).tolist(), strict=True):
            if not sentence.isascii():
                assert end == -1
                continue
            matches = [pattern.search(sentence) for pattern in wanted.patterns]
            assert end == max(match.end() if match else len(sentence) for match in matches)
            n_found += all(matches)
    assert n_found > 50


def test_of_several_parts_the_last_one_counts() -> None:
    sentences = ["b, a. a b", "a b", "", "é a b", "-a-"]
    assert ends_of(parse_words("a b"), sentences).tolist() == [4, 3, 0, -1, 3]
    assert ends_of(parse_words('b "a b"'), sentences).tolist() == [9, 3, 0, -1, 3]
