"""Limits in the middle of a batch, repeats that are kept, and a full disk."""

import errno
import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError, StoreError
from ffmem.index.text import text_spool, token_spool
from ffmem.index.text.writer import TextCounts, TextSource, is_held_out, write_text
from ffmem.options import IndexOptions
from ffmem.store.files import disk_errors
from tests.corpus.tiny_tokenizers import byte_level, token_bytes, word_piece

BPE = byte_level()
VOCABULARY = [token.decode(errors="backslashreplace") for token in token_bytes(BPE)]


def write(folder: Path, paragraphs: list[bytes], options: IndexOptions, max_tokens: int = 100) -> TextCounts:
    corpus = folder / "corpus.txt"
    corpus.write_bytes(b"\n\n".join(paragraphs))
    (folder / "text").mkdir()
    source = TextSource([open_corpus(str(corpus))], BPE, token_bytes(BPE), VOCABULARY, max_tokens)
    return write_text(folder / "text", source, options)


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "text" / "text.sqlite")
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


def test_only_documents_up_to_the_limit_are_counted(tmp_path: Path):
    paragraphs = [b"Bad \xff %d." % i for i in range(200)]
    counts = write(tmp_path, paragraphs, IndexOptions(holdout=0, max_sentences=10))
    assert rows(tmp_path, "SELECT count(*) FROM documents") == [(counts.n_documents,)]
    assert counts.n_documents == 11  # the one with which the limit was met included
    assert counts.n_undecodable_bytes == 11


def test_a_sentence_that_is_refused_is_named_by_its_document(tmp_path: Path):
    with pytest.raises(InputError) as error:
        write(tmp_path, [b"Short.", b"z" * 25], IndexOptions(holdout=0, long_sentences="refuse"), max_tokens=10)
    assert str(error.value) == (
        "the document 'paragraph 2' has a sentence of 25 tokens, longer than the context. "
        "Expected at most 10 own tokens a sentence, as --long-sentences refuse asks. "
        "Let it be cut: --long-sentences window."
    )


def test_every_kept_repeat_knows_that_it_is_also_indexed(tmp_path: Path):
    indexed, held_out = "The fox. A dog!", "A dog! A dog! Only here."
    options = next(
        options
        for options in (IndexOptions(holdout=0.5, seed=seed, duplicates="keep") for seed in range(100))
        if is_held_out(held_out, options) and not is_held_out(indexed, options)
    )
    counts = write(tmp_path, [indexed.encode(), held_out.encode()], options)
    assert rows(tmp_path, "SELECT id, text, also_indexed FROM sentences ORDER BY id") == [
        (0, "The fox.", 0),
        (1, "A dog!", 0),
        (2, "A dog!", 1),
        (3, "A dog!", 1),
        (4, "Only here.", 0),
    ]
    assert counts.n_held_out_also_indexed == 2


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    open_database = text_spool._open_database

    def open_small(path: Path) -> sqlite3.Connection:
        connection = open_database(path)
        connection.execute("PRAGMA max_page_count = 12")
        return connection

    monkeypatch.setattr(text_spool, "_open_database", open_small)
    paragraphs = [b"Number %d of many." % i for i in range(2000)]
    with pytest.raises(OSError, match="No space left") as error:
        write(tmp_path, paragraphs, IndexOptions(holdout=0))
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(StoreError, match="no space left while writing"), disk_errors(tmp_path):
        raise error.value


@pytest.mark.parametrize("limit", ["one", "sentences", "length"])
def test_how_much_waits_in_memory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str):
    paragraphs = [b"The fox %d. A dog! \xf0\x9f\x98\x80 Night %d." % (i, i % 7) for i in range(60)]
    options = IndexOptions(holdout=0.3)
    (tmp_path / "many").mkdir()
    whole = write(tmp_path / "many", paragraphs, options)
    for module, a_few, few in ((text_spool, "_ROWS_AT_ONCE", "_CHARACTERS_AT_ONCE"),
                               (token_spool, "_SENTENCES_AT_ONCE", "_TOKENS_AT_ONCE")):  # fmt: skip
        monkeypatch.setattr(module, a_few, {"one": 1, "sentences": 7}.get(limit, 10**6))
        monkeypatch.setattr(module, few, 30 if limit == "length" else 10**6)
    (tmp_path / "few").mkdir()
    assert write(tmp_path / "few", paragraphs, options) == whole and whole.n_sentences_held_out > 10
    for table in ("documents", "sentences", "vocabulary"):
        sql = f"SELECT * FROM {table} ORDER BY 1"
        assert rows(tmp_path / "few", sql) == rows(tmp_path / "many", sql)
    name = "text/tokens.safetensors"
    assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_equal_windows_are_one_if_as_much_of_them_competes(tmp_path: Path):
    options = IndexOptions(holdout=0, split="windows:10:5")
    counts = write(tmp_path, [b"z" * 24, b"z" * 10], options)
    found = rows(tmp_path, "SELECT start_byte, length(text), n_occurrences FROM sentences ORDER BY id")
    assert found == [(0, 10, 2), (5, 10, 2), (15, 9, 1)]
    assert load_file(tmp_path / "text" / "tokens.safetensors")["context"].tolist() == [0, 5, 5]
    assert (counts.n_tokens, counts.n_context_tokens, counts.n_duplicates) == (29, 10, 2)


def test_windows_are_not_stripped_but_white_space_is_no_window(tmp_path: Path):
    write(tmp_path, [b"  z z  ", b"\x0b \xe2\x80\xa8"], IndexOptions(holdout=0, split="windows:4"))
    assert rows(tmp_path, "SELECT document_id, start_byte, text FROM sentences ORDER BY id") == [
        (0, 0, "  z "),
        (0, 4, "z  "),
    ]


def test_each_corpus_is_counted_once(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"One \xff.\n")
    (tmp_path / "b.txt").write_bytes(b"\n \n")
    (tmp_path / "text").mkdir()
    tokenizer = byte_level()
    corpora = [open_corpus(str(tmp_path / name)) for name in ("a.txt", "b.txt")]
    source = TextSource(corpora, tokenizer, token_bytes(tokenizer), [], 100)
    counts = write_text(tmp_path / "text", source, IndexOptions(holdout=0))
    assert (counts.n_documents, counts.n_undecodable_bytes, counts.n_lines) == (1, 1, 3)


LINES = ["the fox", "A dog!", "over the lazy dog", "é日", "z"]


@settings(max_examples=25, deadline=None)
@given(
    documents=st.lists(st.lists(st.sampled_from(LINES), min_size=1, max_size=5), min_size=1, max_size=8),
    duplicates=st.sampled_from(["once", "keep"]),
    seed=st.integers(0, 50),
    limit=st.none() | st.integers(1, 12),
)
def test_everything_is_counted_as_a_loop_over_lines_counts_it(
    documents: list[list[str]], duplicates: str, seed: int, limit: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What becomes of each line of each document, from the definitions of the options alone."""
    texts = ["\n".join(lines) for lines in documents]
    key = seed.to_bytes(8, "little")
    held_out = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest(), "little") < 0.4 * 2**64
        for text in texts
    ]
    indexed: list[str] = []
    apart: list[str] = []
    n_repeats, stopped, n_documents = 0, False, 0
    for lines, out in zip(documents, held_out, strict=True):
        if stopped:
            break
        n_documents += 1
        for line in lines:
            if duplicates == "once" and line in (apart if out else indexed):
                n_repeats += not out
            elif out:
                apart.append(line)
            elif limit is not None and len(indexed) == limit:
                stopped = True
                break
            else:
                indexed.append(line)
    options = IndexOptions(
        holdout=0.4,
        seed=seed,
        duplicates=duplicates,
        max_sentences=limit,
        split="lines",  # type: ignore[arg-type]
    )
    folder = tmp_path_factory.mktemp("text")
    if not indexed:
        with pytest.raises(InputError, match=r"no sentence of .* is left to index"):
            write(folder, [text.encode() for text in texts], options)
        return
    counts = write(folder, [text.encode() for text in texts], options)
    assert [text for (text,) in rows(folder, "SELECT text FROM sentences ORDER BY id")] == indexed + apart
    assert (counts.n_sentences, counts.n_sentences_held_out) == (len(indexed), len(apart))
    assert (counts.n_duplicates, counts.stopped_by) == (n_repeats, "max_sentences" if stopped else None)
    assert (counts.n_documents, counts.n_documents_held_out) == (n_documents, sum(held_out[:n_documents]))
    assert counts.n_held_out_also_indexed == sum(line in indexed for line in apart)
    sizes = [[len(BPE.encode(line).ids) for line in some] for some in (indexed, apart)]
    assert (counts.n_tokens, counts.n_tokens_held_out) == (sum(sizes[0]), sum(sizes[1]))
    starts = load_file(folder / "text" / "tokens.safetensors")["sentence_start"]
    assert np.diff(starts.astype(int)).tolist() == [*sizes[0], *sizes[1]]


def test_each_sentence_is_asked_for_its_largest_token_and_one_of_none_is_counted(tmp_path: Path) -> None:
    """A model may have rows for fewer tokens than its tokenizer knows."""
    (tmp_path / "a.txt").write_text("the fox\n\x1c\nA dog!\n")  # the control character is no white space, and no word
    (tmp_path / "text").mkdir()
    tokenizer, asked = word_piece(), []
    source = TextSource([open_corpus(str(tmp_path / "a.txt"))], tokenizer, None, [], 100, check_tokens=asked.append)
    seen: list[int] = []
    counts = write_text(
        tmp_path / "text", source, IndexOptions(holdout=0, split="lines"), lambda now: seen.append(now.n_sentences)
    )
    assert asked == [max(tokenizer.encode(line).ids) for line in ("the fox", "A dog!")]
    assert (counts.n_sentences, counts.n_empty_sentences) == (2, 1) and seen == [2]

    def refuse(largest: int) -> None:
        raise InputError(f"token {largest} has no row", "Expected one", "Use another tokenizer")

    (tmp_path / "again" / "text").mkdir(parents=True)
    with pytest.raises(InputError, match=r"token \d+ has no row"):
        write_text(tmp_path / "again" / "text", replace(source, check_tokens=refuse), IndexOptions(holdout=0))
