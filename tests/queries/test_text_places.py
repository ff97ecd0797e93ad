"""From which token on a prefix has what was searched for, against a loop over all prefixes."""

import re
import time

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries.text_places import match_spans, text_places
from tests.fixtures.made_index import Document, Layer, make_index

SENTENCES = [
    ["The", " old", " river", " bends", " by", " the", " river"],
    ["their", " riv", "er", "_bank", ",", " old"],
    ["é", "é old", " Fluß", " river"],
    ["old", " old"],
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    documents = [Document(SENTENCES), Document([["old", " river"]], held_out=True)]
    n = sum(map(len, SENTENCES))
    return make_index(tmp_path_factory.mktemp("made") / "i", documents, [Layer(np.ones((n, 1)))])


def first_positions(pattern: str) -> dict[int, int]:
    """In each sentence, the first token up to whose end the whole text has all of the pattern's parts."""
    found = {}
    for number, tokens in enumerate(SENTENCES):
        text = "".join(tokens)
        ends = [
            min((m.end() for m in re.finditer(part, text, re.IGNORECASE)), default=None) for part in pattern.split(";")
        ]
        if None not in ends:
            found[number] = next(i for i in range(len(tokens)) if len("".join(tokens[: i + 1])) >= max(ends))  # type: ignore[type-var]
    return found


WORD = r"(?<![^\W_]){}(?![^\W_])"


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ("river", WORD.format("river")),
        ("old river", WORD.format("old") + ";" + WORD.format("river")),
        ('"old river"', WORD.format(r"old\W+river")),
        ("the", WORD.format("the")),
        ("fluß", WORD.format("fluß")),
        (", old", ",;" + WORD.format("old")),
        ("/r.ver/", "r.ver"),
    ],
)
def test_places_equal_a_loop_over_prefixes(index: Index, asked: str, pattern: str) -> None:
    found = text_places(index, asked, prefix=True, time_limit_s=10)
    expected = first_positions(pattern if asked[0] != "/" else "(?-i:r.ver)")
    assert dict(zip(found.sentences.tolist(), found.positions.tolist(), strict=True)) == expected and expected
    anywhere = text_places(index, asked, prefix=False, time_limit_s=10)
    assert anywhere.sentences.tolist() == list(expected) and not anywhere.positions.any()


def test_an_expression_ends_as_early_as_it_can(index: Index) -> None:
    found = text_places(index, "/old.* r/", prefix=True, time_limit_s=10)  # greedy: alone it would take the last river
    assert found.positions.tolist() == [2, 3] and found.sentences.tolist() == [0, 2]


def test_what_marks_a_match() -> None:
    assert match_spans("old river", "Old rivers, river", 17) == ((0, 3), (12, 17))
    assert match_spans("old river", "Old rivers, river", 16) == ((0, 3),)
    assert match_spans("/r./", "or rx", 5) == ((1, 3), (3, 5))
    begin = time.monotonic()
    assert match_spans(r"/(\w+\w+)+!/", "a" * 60, 60) == () and time.monotonic() - begin < 5
    with pytest.raises(InputError, match="there is nothing to search for"):
        match_spans(" ", "x", 1)
