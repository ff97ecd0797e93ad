"""The text side of a store, read: rows and arrays against a slow reference, bounded memory, every error."""

import sqlite3
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ffmem.corpus.tokens import tokenize
from ffmem.errors import InputError, StoreError
from ffmem.index.text.writer import TextCounts, write_text
from ffmem.options import IndexOptions
from ffmem.store import text as text_module
from ffmem.store.text import TextReader
from tests.fixtures.written_text import (
    BPE,
    BYTES,
    VOCABULARY,
    reference,
    source_of,
    write_documents,
)

Write = Callable[..., tuple[Path, TextCounts]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return partial(write_documents, tmp_path)


class TestReader:
    @pytest.fixture
    def reader(self, write) -> TextReader:
        return TextReader(write(options=IndexOptions(holdout=0.5, seed=1))[0])

    def test_sentences(self, reader: TextReader):
        documents, sentences = reference(IndexOptions(holdout=0.5, seed=1))
        assert reader.n_all_sentences == len(sentences)
        assert reader.n_sentences == sum(not documents[row[1]][3] for row in sentences)
        for sentence_id, document_id, start_byte, text, n_occurrences, _ in sentences:
            row = reader.sentence(sentence_id)
            assert (row.id, row.document_id, row.start_byte) == (sentence_id, document_id, start_byte)
            assert (row.text, row.n_occurrences) == (text, n_occurrences)
            assert row.held_out == bool(documents[document_id][3])
            (tokens,) = tokenize(BPE, [text], BYTES)
            assert row.token_ids.tolist() == tokens.token_ids.tolist()
            assert row.token_starts.tolist() == tokens.starts.tolist()
            assert row.token_ends.tolist() == tokens.ends.tolist()
            assert row.token_strings() == tuple(VOCABULARY[token_id] for token_id in tokens.token_ids)

    def test_a_token_that_is_part_of_a_character(self, reader: TextReader):
        row = next(r for r in map(reader.sentence, range(reader.n_all_sentences)) if r.text.startswith("😀"))
        assert row.token_strings()[:5] == ("\\xf0", "\\x9f", "\\x98", "\\x80", " is")

    def test_documents(self, reader: TextReader):
        for number, name, metadata, held_out, n_bytes in reference(IndexOptions(holdout=0.5, seed=1))[0]:
            row = reader.document(number)
            assert (row.id, row.name, row.metadata, row.held_out, row.n_bytes) == (
                number, name, metadata, bool(held_out), n_bytes,
            )  # fmt: skip
        of_all = reader.document_of(np.arange(reader.n_all_sentences)[::-1])
        assert of_all.tolist() == [row[1] for row in reference(IndexOptions(holdout=0.5, seed=1))[1]][::-1]

    def test_text_in_bytes(self, reader: TextReader):
        for ids in ([], [3], [0, 4, 5, reader.n_all_sentences - 1], list(range(reader.n_all_sentences))):
            expected = b"".join(reader.sentence(number).text.encode() + b"\0" for number in ids)
            assert reader.utf8(np.array(ids, dtype=np.uint32)) == expected
        with pytest.raises(StoreError, match=r"text\.sqlite is damaged: sentences from 3 on are missing, or have a"):
            reader.utf8(np.array([3, reader.n_all_sentences]))

    def test_the_best_matches(self, reader: TextReader):
        ids, scores = reader.ranked("fox OR dog", reader.n_all_sentences)
        assert sorted(ids.tolist()) == reader.matching("fox OR dog").tolist() and len(ids) > 3
        pairs = list(zip((-scores).tolist(), ids.tolist(), strict=True))
        assert pairs == sorted(pairs) and scores.min() > 0
        few, of_few = reader.ranked("fox OR dog", int(np.sort(ids)[2]))
        assert few.tolist() == [number for number in ids.tolist() if number <= np.sort(ids)[2]]
        assert of_few.tolist() == [scores[ids == number][0] for number in few]  # counted over all
        assert [len(one) for one in reader.ranked("hound", 5)] == [0, 0]
        text = reader.sentence(int(ids[0])).text
        start, end = text_module.MARKS
        marked = reader.marked("fox OR dog", int(ids[0]))
        assert marked.replace(start, "").replace(end, "") == text and f"{start}fox{end}" in marked.replace("dog", "fox")

    def test_places(self, reader: TextReader):
        token, all_ids = 0, reader.token_id.tolist()
        for sentence_id in range(reader.n_all_sentences):
            ids = reader.sentence(sentence_id).token_ids.tolist()
            assert reader.sentence_range(sentence_id) == (token, token + len(ids))
            for position in range(len(ids)):
                assert reader.locate(token) == (sentence_id, position)
                assert reader.sentence_of(np.array([[token]], dtype=np.uint32)).tolist() == [[sentence_id]]
                follower = all_ids[token + 1] if position + 1 < len(ids) else -1
                assert reader.following(np.array([token])).tolist() == [follower]
                token += 1
        assert token == len(all_ids)

    def test_the_vocabulary(self, reader: TextReader):
        assert reader.token_strings([5, 0, 5]) == (VOCABULARY[5], VOCABULARY[0], VOCABULARY[5])
        for token in (" the", "\\xf0"):
            assert reader.token_ids_of(token) == tuple(i for i, v in enumerate(VOCABULARY) if v == token) != ()
        assert reader.token_ids_of("no such token") == ()

    def test_many_threads(self, reader: TextReader):
        ids = list(range(reader.n_all_sentences)) * 20
        expected = [reader.sentence(sentence_id).text for sentence_id in ids]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda sentence_id: reader.sentence(sentence_id).text, ids)) == expected

    def test_it_writes_nothing_and_takes_any_path(self, write):
        folder, _ = write(folder="a b#c?d%20é")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        reader = TextReader(folder)
        assert reader.sentence(0).text == "The fox."
        assert reader.integrity_problem() is None
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        with pytest.raises(StoreError, match="readonly"):
            reader._execute("DELETE FROM sentences")

    @pytest.mark.parametrize("sentence_id", [-1, 11])
    def test_a_sentence_that_does_not_exist(self, reader: TextReader, sentence_id: int):
        with pytest.raises(InputError) as error:
            reader.sentence(sentence_id)
        assert str(error.value) == (
            f"sentence {sentence_id} does not exist. Expected 0 to {reader.n_all_sentences - 1}. "
            "Sentences count from 0; triggers name theirs as sentence_id."
        )


class TestDamage:
    @pytest.mark.parametrize("name", ["text.sqlite", "tokens.safetensors"])
    def test_a_missing_file(self, write, name: str):
        folder, _ = write()
        (folder / name).unlink()
        with pytest.raises(StoreError, match=rf"{name} is damaged: it is missing\. .*ffmem verify.*rebuild"):
            TextReader(folder)

    def test_truncated_tokens(self, write):
        folder, _ = write()
        path = folder / "tokens.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(StoreError, match=r"tokens\.safetensors is damaged: .*ffmem verify.*rebuild"):
            TextReader(folder)

    def test_a_missing_array(self, write):
        folder, _ = write()
        arrays = load_file(folder / "tokens.safetensors")
        del arrays["token_end"]
        save_file(arrays, folder / "tokens.safetensors")
        with pytest.raises(StoreError, match=r"tokens\.safetensors is damaged: it has no array 'token_end'"):
            TextReader(folder)

    def test_arrays_of_different_lengths(self, write):
        folder, _ = write()
        arrays = load_file(folder / "tokens.safetensors")
        save_file(arrays | {"token_id": arrays["token_id"][:-1]}, folder / "tokens.safetensors")
        with pytest.raises(StoreError, match=r"tokens\.safetensors is damaged: its arrays disagree"):
            TextReader(folder)

    def test_a_database_that_is_none(self, write):
        folder, _ = write()
        (folder / "text.sqlite").write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match=r"text\.sqlite is damaged: file is not a database\. .*ffmem verify"):
            TextReader(folder).sentence(0)

    def test_a_row_that_is_missing(self, write):
        folder, _ = write()
        with sqlite3.connect(folder / "text.sqlite") as connection:
            connection.execute("DELETE FROM sentences WHERE id = 2")
        connection.close()
        reader = TextReader(folder)
        with pytest.raises(StoreError, match=r"text\.sqlite is damaged: no row for \(2,\)"):
            reader.sentence(2)
        assert reader.integrity_problem() == "text.sqlite has 8 sentences, and the token arrays 9"


N_MANY = 20_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> TextReader:
    """Documents of a hundred sentences that are all the same."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "text").mkdir()
    documents = [{"text": "\n".join(["the fox"] * 100)} for _ in range(N_MANY // 100)]
    options = IndexOptions(split="lines", duplicates="keep", holdout=0)
    write_text(folder / "text", source_of(folder / "x.jsonl", documents), options)
    return TextReader(folder / "text")


class TestManySentences:
    """What is asked of the whole text is held in memory that does not grow with Python objects."""

    def test_documents_of_sentences(self, many: TextReader) -> None:
        tracemalloc.start()
        found = many.document_of(np.array([0, N_MANY - 1]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.tolist() == [0, N_MANY // 100 - 1]
        assert peak < 8 * N_MANY  # not even a number a sentence
        assert many.document_of(np.arange(N_MANY)).tolist() == [number // 100 for number in range(N_MANY)]

    def test_matches_are_asked_for_part_by_part(self, many: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_module, "_MATCHED_AT_ONCE", 1000)
        assert np.array_equal(many.matching("fox"), np.arange(N_MANY))
        assert many.matching("fox", 2500).tolist() == list(range(2500))
        assert many.matching("fox", 2000).tolist() == list(range(2000))
        assert not len(many.matching("fox", 0)) and not len(many.matching("hound"))
        tracemalloc.start()
        many.matching("fox")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 24 * N_MANY  # 8 bytes each, twice, and the text of one part
