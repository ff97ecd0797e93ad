"""The rows of a text while it is written: repeats, twins, held-out sentences, and a finished text that is continued."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ffmem.corpus.documents import Document
from ffmem.corpus.tokens import TokenizedSentence, Window
from ffmem.index.text.text_spool import TextSpool, sentence_key
from ffmem.store.text import TextReader


def piece(text: str, start_byte: int = 0, context: int = 0) -> Window:
    """A sentence with a token for each byte."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    ends = np.arange(1, len(data) + 1, dtype=np.uint32)
    return Window(start_byte, text, TokenizedSentence(data.astype(np.uint32), ends - 1, ends), context)


def add(spool: TextSpool, document: int, text: str, held_out: bool = False, **named: int) -> bool:
    one = piece(text, **named)
    return spool.add_sentence(document, one, held_out, sentence_key(one, held_out))


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "text.sqlite")
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


SENTENCES = "SELECT id, document_id, start_byte, text, n_occurrences, also_indexed FROM sentences ORDER BY id"


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (("a b", 0, False), ("a b", 0, False), True),
        (("a b", 0, False), ("a b ", 0, False), False),
        (("a b", 0, False), ("a b", 0, True), False),  # a held-out repeat is counted apart
        (("a b", 1, False), ("a b", 1, False), True),
        (("a b", 1, False), ("a b", 2, False), False),  # less of it competes
        (("a b", 0, False), ("a b", 1, False), False),
        (("a1", 0, False), ("a", 1, False), False),
        (("é", 0, False), ("e\u0301", 0, False), False),  # another spelling is another text
    ],
)
def test_sentences_are_equal_if_their_bytes_and_what_competes_are(
    first: tuple[str, int, bool], second: tuple[str, int, bool], equal: bool
) -> None:
    keys = [sentence_key(piece(text, context=context), held_out) for text, context, held_out in (first, second)]
    assert (keys[0] == keys[1]) is equal
    assert [len(key) for key in keys] == [17, 17]


def test_held_out_sentences_follow_the_indexed_ones(tmp_path: Path) -> None:
    with TextSpool(tmp_path, ["<a>", "<b>"]) as spool:
        spool.add_document(0, Document("one", "Xé yy", {"topic": "t", "n": [1, None]}), False)
        spool.add_document(1, Document("two", "yy"), True)
        assert add(spool, 0, "Xé") and add(spool, 1, "yy", held_out=True)
        assert add(spool, 0, "yy", start_byte=4)
        assert not add(spool, 1, "yy", held_out=True), "there was one like it"
        assert spool.count_again(sentence_key(piece("Xé"), False))
        assert not spool.count_again(sentence_key(piece("never"), False))
        assert spool.finish(2) == 2
    assert rows(tmp_path, SENTENCES) == [
        (0, 0, 0, "Xé", 2, 0),
        (1, 0, 4, "yy", 1, 0),
        (2, 1, 0, "yy", 1, 1),
        (3, 1, 0, "yy", 1, 1),
    ]
    assert rows(tmp_path, "SELECT id, name, held_out, n_bytes FROM documents ORDER BY id") == [
        (0, "one", 0, 6),
        (1, "two", 1, 2),
    ]
    assert json.loads(str(rows(tmp_path, "SELECT metadata FROM documents")[0][0])) == {"topic": "t", "n": [1, None]}
    assert rows(tmp_path, "SELECT * FROM vocabulary ORDER BY 1") == [(0, "<a>"), (1, "<b>")]
    reader = TextReader(tmp_path)
    assert [bytes(reader.sentence(number).token_ids.tolist()).decode() for number in range(4)] == [
        "Xé",
        "yy",
        "yy",
        "yy",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.sqlite", "tokens.safetensors"]


def test_a_held_out_repeat_is_counted_with_its_own_first(tmp_path: Path) -> None:
    with TextSpool(tmp_path, []) as spool:
        spool.add_document(0, Document("one", "a"), False)
        add(spool, 0, "a")
        add(spool, 0, "b", held_out=True)
        for held_out, text, times in ((False, "a", 3), (True, "b", 1), (True, "a", 0)):
            for _ in range(times):
                assert spool.count_again(sentence_key(piece(text), held_out))
        assert spool.finish(1) == 0
    assert rows(tmp_path, "SELECT text, n_occurrences FROM sentences ORDER BY id") == [("a", 4), ("b", 2)]


def test_words_are_found_and_accents_matter(tmp_path: Path) -> None:
    with TextSpool(tmp_path, []) as spool:
        spool.add_document(0, Document("one", ""), False)
        for text in ("Le café noir", "the cafe", "Noir"):
            add(spool, 0, text)
        add(spool, 0, "un NOIR café", held_out=True)
        spool.finish(3)
    search = "SELECT rowid FROM sentences_fts WHERE sentences_fts MATCH '{}' ORDER BY rowid"
    assert rows(tmp_path, search.format("noir")) == [(0,), (2,), (3,)]
    assert rows(tmp_path, search.format("café")) == [(0,), (3,)]
    assert rows(tmp_path, search.format("cafe")) == [(1,)]


def test_metadata_that_is_no_json_is_never_written(tmp_path: Path) -> None:
    with TextSpool(tmp_path, []) as spool, pytest.raises(ValueError, match="JSON"):
        spool.add_document(0, Document("one", "", {"score": float("nan")}), False)


def finished(folder: Path) -> Path:
    """A text of two documents, three indexed sentences and one held out."""
    folder.mkdir()
    with TextSpool(folder, ["v"]) as spool:
        spool.add_document(0, Document("one", "a b", {"x": 1}), False)
        spool.add_document(1, Document("two", "c"), True)
        add(spool, 0, "a")
        add(spool, 0, "bb", start_byte=2)
        add(spool, 0, "cc", context=1)
        add(spool, 1, "c", held_out=True)
        spool.count_again(sentence_key(piece("bb"), False))
        spool.finish(3)
    return folder


def test_a_text_that_is_taken_alone_is_the_same_text(tmp_path: Path) -> None:
    first = finished(tmp_path / "first")
    (tmp_path / "again").mkdir()
    with TextSpool(tmp_path / "again", ["v"]) as spool:
        assert spool.take(first, 3) == 0
        spool.finish(3)
    for table in ("documents", "sentences", "vocabulary"):
        sql = f"SELECT * FROM {table} ORDER BY 1"
        assert rows(tmp_path / "again", sql) == rows(first, sql) != []
    name = "tokens.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes()


def test_two_texts_stand_one_after_the_other_and_what_both_have_is_told(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "first"), tmp_path / "second"
    second.mkdir()
    with TextSpool(second, ["v"]) as spool:
        spool.add_document(0, Document("three", "c bb"), False)
        for text in ("c", "bb", "dd"):
            add(spool, 0, text)
        add(spool, 0, "cc", held_out=True)
        spool.finish(3)
    (tmp_path / "both").mkdir()
    with TextSpool(tmp_path / "both", ["v"]) as spool:
        assert spool.take(first, 3) == 0
        assert spool.take(second, 3) == 1, "of the indexed ones bb was there; c was held out there"
        assert spool.finish(6) == 1
    assert rows(tmp_path / "both", SENTENCES) == [
        (0, 0, 0, "a", 1, 0),
        (1, 0, 2, "bb", 2, 0),
        (2, 0, 0, "cc", 1, 0),
        (3, 2, 0, "c", 1, 0),
        (4, 2, 0, "bb", 1, 0),
        (5, 2, 0, "dd", 1, 0),
        (6, 1, 0, "c", 1, 1),
        (7, 2, 0, "cc", 1, 0),  # all of it competes, but only a part of the indexed one
    ]
    reader = TextReader(tmp_path / "both")
    assert reader.context is not None and reader.context.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert rows(tmp_path / "both", "SELECT id, name FROM documents ORDER BY id") == [
        (0, "one"),
        (1, "two"),
        (2, "three"),
    ]
