"""From which token on a prefix has what was searched for, against a loop over all prefixes."""

import re
import sys
import time

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries import text_places as text_places_module
from ffmem.queries.text_places import match_spans, text_places
from ffmem.store.text import TextReader
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
@pytest.mark.parametrize("compiled_from", [0, 10**9])
def test_places_equal_a_loop_over_prefixes(
    index: Index, asked: str, pattern: str, compiled_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled or not."""
    monkeypatch.setattr(sys.modules["ffmem.queries.compiled"], "COMPILED_FROM", compiled_from)
    found = text_places(index, asked, prefix=True, time_limit_s=10)
    expected = first_positions(pattern if asked[0] != "/" else "(?-i:r.ver)")
    assert dict(zip(found.sentences.tolist(), found.positions.tolist(), strict=True)) == expected and expected
    anywhere = text_places(index, asked, prefix=False, time_limit_s=10)
    assert anywhere.sentences.tolist() == list(expected) and not anywhere.positions.any()


@pytest.mark.parametrize("most", [1, 14, 15, 100])
def test_so_much_text_is_read_at_a_time(index: Index, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences of 7, 6, 4 and 2 tokens, all of which have the word."""
    monkeypatch.setattr(sys.modules["ffmem.queries.compiled"], "COMPILED_FROM", 0)
    monkeypatch.setattr(text_places_module, "_MOST_TOKENS", most)
    read: list[list[int]] = []
    utf8 = TextReader.utf8

    def counted(self: TextReader, ids: np.ndarray) -> bytes:
        read.append(ids.tolist())
        return utf8(self, ids)

    monkeypatch.setattr(TextReader, "utf8", counted)
    found = text_places(index, "old", prefix=True, time_limit_s=10)
    assert found.sentences.tolist() == [0, 1, 2, 3] and found.positions.tolist() == [1, 5, 1, 0]
    expected = {1: [[0], [1], [2], [3]], 14: [[0, 1], [2, 3]], 15: [[0, 1], [2, 3]], 100: [[0, 1, 2, 3]]}
    assert read == expected[most]


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
