"""The text side of a store: rows and arrays against a slow reference, bounded memory, every error."""

import json
import sqlite3
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ffmem.corpus.registry import open_corpus
from ffmem.corpus.sentences import split_sentences
from ffmem.corpus.tokens import tokenize
from ffmem.errors import InputError, StoreError
from ffmem.index.text import writer as text_writer
from ffmem.index.text.writer import TextCounts, TextSource, is_held_out, write_text
from ffmem.options import IndexOptions
from ffmem.store import text as text_module
from ffmem.store.text import TextReader
from tests.corpus.tiny_tokenizers import byte_level, token_bytes, word_piece

BPE = byte_level()
BYTES = token_bytes(BPE)
VOCABULARY = [token.decode(errors="backslashreplace") for token in BYTES]
ALL = IndexOptions(holdout=0)

DOCUMENTS = [
    {"text": "The fox. A dog! The fox.", "id": "a", "year": 1999},
    {"text": "  \n "},
    {"text": "日本語です。😀 is a smile. The fox.", "title": "é"},
    {"text": "A dog!\n\nThe lazy dog\r\n\r\nThe\nfox."},
    {"text": "The fox. Only here. The fox."},
    {"text": "A dog!"},
    {"text": "SOH \x01 inside. The fox."},
    {"text": "Only there. Only there."},
]


def source_of(path: Path, documents: list[dict[str, Any]] | None = None, max_tokens: int = 1000) -> TextSource:
    lines = [json.dumps(document) for document in (DOCUMENTS if documents is None else documents)]
    path.write_text("\n".join(lines))
    return TextSource([open_corpus(str(path))], BPE, BYTES, VOCABULARY, max_tokens)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, TextCounts]]:
    """Write the text of some documents (by default those above) into a new folder."""

    def make(
        documents: list[dict[str, Any]] | None = None,
        options: IndexOptions = ALL,
        max_tokens: int = 1000,
        folder: str = "text",
    ) -> tuple[Path, TextCounts]:
        (tmp_path / folder).mkdir()
        source = source_of(tmp_path / f"{folder}.jsonl", documents, max_tokens)
        return tmp_path / folder, write_text(tmp_path / folder, source, options)

    return make


def rows(folder: Path, table: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "text.sqlite") as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    connection.close()
    return found


def texts(folder: Path) -> list[str]:
    return [row[3] for row in rows(folder, "sentences")]


def reference(options: IndexOptions) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of documents and sentences, by lists and counting."""
    documents, indexed, held = [], [], []
    for number, fields in enumerate(DOCUMENTS):
        text = fields["text"]
        name = fields.get("id") or fields.get("title") or f"line {number + 1}"
        metadata = {key: value for key, value in fields.items() if key != "text"}
        held_out = is_held_out(text, options)
        documents.append((number, name, metadata, int(held_out), len(text.encode())))
        for sentence in split_sentences(text, options.split):
            (held if held_out else indexed).append((number, sentence.start_byte, sentence.text))
    sentences: list[tuple[Any, ...]] = []
    for part in (indexed, held):
        all_texts = [text for _, _, text in part]
        for i, (number, start_byte, text) in enumerate(part):
            if options.duplicates == "once" and text in all_texts[:i]:
                continue
            n = all_texts.count(text) if options.duplicates == "once" else 1
            also = part is held and text in [text for _, _, text in indexed]
            sentences.append((len(sentences), number, start_byte, text, n, int(also)))
    return documents, sentences


def seed_that_holds_out(*texts: str, holdout: float = 0.3) -> IndexOptions:
    """Options under which these documents are held out, and at least one other is not."""
    for seed in range(10_000):
        options = IndexOptions(holdout=holdout, seed=seed)
        if all(is_held_out(text, options) for text in texts) and not is_held_out(DOCUMENTS[0]["text"], options):
            return options
    raise AssertionError("no such seed")


class TestRows:
    @pytest.mark.parametrize("split", ["sentences", "lines"])
    @pytest.mark.parametrize("seed", [0, 1, 2, 5])
    def test_they_are_those_of_the_reference(self, write, split: str, seed: int):
        options = IndexOptions(holdout=0.5, seed=seed, split=split)
        folder, counts = write(options=options)
        documents, sentences = reference(options)
        found = [(*row[:2], json.loads(row[2]), *row[3:]) for row in rows(folder, "documents")]
        assert found == documents
        assert rows(folder, "sentences") == sentences
        assert counts.n_documents == len(documents)
        assert counts.n_documents_held_out == sum(row[3] for row in documents)
        assert counts.n_sentences + counts.n_sentences_held_out == len(sentences)
        assert counts.n_held_out_also_indexed == sum(row[5] for row in sentences)

    def test_the_vocabulary(self, write):
        folder, _ = write()
        assert rows(folder, "vocabulary") == list(enumerate(VOCABULARY))

    def test_repeats_are_indexed_once_and_counted(self, write):
        folder, counts = write()
        n_occurrences = {row[3]: row[4] for row in rows(folder, "sentences")}
        assert n_occurrences["The fox."] == 6
        assert n_occurrences["The\nfox."] == 1
        assert n_occurrences["A dog!"] == 3
        assert len(n_occurrences) == counts.n_sentences == counts.n_sentences + counts.n_sentences_held_out
        assert counts.n_duplicates == 8

    def test_repeats_are_kept_if_asked_for(self, write):
        folder, counts = write(options=IndexOptions(holdout=0, duplicates="keep"))
        assert texts(folder).count("The fox.") == 6
        assert {row[4] for row in rows(folder, "sentences")} == {1}
        assert counts.n_duplicates == 0

    def test_held_out_sentences_that_are_also_indexed(self, write):
        options = seed_that_holds_out("A dog!", "Only there. Only there.")
        folder, counts = write([DOCUMENTS[0], DOCUMENTS[5], DOCUMENTS[7]], options)
        assert [row[1:] for row in rows(folder, "sentences")] == [
            (0, 0, "The fox.", 2, 0),
            (0, 9, "A dog!", 1, 0),
            (1, 0, "A dog!", 1, 1),
            (2, 0, "Only there.", 2, 0),
        ]
        assert (counts.n_sentences, counts.n_sentences_held_out, counts.n_held_out_also_indexed) == (2, 2, 1)


class TestTokens:
    def test_they_are_those_of_the_sentences(self, write):
        folder, counts = write(options=IndexOptions(holdout=0.5, seed=1))
        arrays = load_file(folder / "tokens.safetensors")
        expected = tokenize(BPE, texts(folder), BYTES)
        for name, own in (("token_id", "token_ids"), ("token_start", "starts"), ("token_end", "ends")):
            assert arrays[name].tolist() == np.concatenate([getattr(tokens, own) for tokens in expected]).tolist()
            assert arrays[name].dtype == np.uint16
        lengths = [len(tokens.token_ids) for tokens in expected]
        assert arrays["sentence_start"].tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
        assert arrays["sentence_start"].dtype == np.uint64
        assert counts.n_tokens == sum(lengths[: counts.n_sentences])
        assert counts.n_tokens_held_out == sum(lengths[counts.n_sentences :])

    def test_offsets_that_need_it_are_wider(self, write):
        folder, _ = write([{"text": "z" * 70_000}, {"text": "fox"}], max_tokens=100_000)
        arrays = load_file(folder / "tokens.safetensors")
        assert {name: array.dtype.name for name, array in arrays.items()} == {
            "sentence_start": "uint64",
            "token_id": "uint16",
            "token_start": "uint32",
            "token_end": "uint32",
        }
        assert arrays["token_end"][:70_000].tolist() == list(range(1, 70_001))

    def test_the_file_is_a_safetensors_file_with_aligned_arrays(self, write):
        folder, _ = write()
        with safe_open(folder / "tokens.safetensors", "np") as file:
            assert set(file.keys()) == {"token_id", "token_start", "token_end", "sentence_start"}
        data = (folder / "tokens.safetensors").read_bytes()
        n_header = int.from_bytes(data[:8], "little")
        sizes = {"U64": 8, "U32": 4, "U16": 2}
        for spec in json.loads(data[8 : 8 + n_header]).values():
            assert (8 + n_header + spec["data_offsets"][0]) % sizes[spec["dtype"]] == 0


class TestWriting:
    def test_twice_is_equal(self, write):
        options = IndexOptions(holdout=0.3)
        first, first_counts = write(options=options, folder="first")
        second, second_counts = write(options=options, folder="second")
        for table in ("documents", "sentences", "vocabulary"):
            assert rows(first, table) == rows(second, table)
        assert (first / "tokens.safetensors").read_bytes() == (second / "tokens.safetensors").read_bytes()
        assert first_counts == second_counts

    def test_nothing_else_is_left_in_the_folder(self, write):
        folder, _ = write()
        assert {path.name for path in folder.iterdir()} == {"text.sqlite", "tokenizer.json", "tokens.safetensors"}

    def test_batches_change_nothing(self, write, tmp_path: Path):
        many = [{"text": f"Number {i}. The fox. And {i % 50}."} for i in range(3000)]
        folder, counts = write(many)
        assert texts(folder) == list(
            dict.fromkeys(text for i in range(3000) for text in (f"Number {i}.", "The fox.", f"And {i % 50}."))
        )
        assert counts.n_duplicates == 3000 * 3 - 3000 - 50 - 1
        reader = TextReader(folder)
        for sentence_id in range(0, counts.n_sentences, 97):
            (alone,) = tokenize(BPE, [reader.sentence(sentence_id).text], BYTES)
            assert reader.sentence(sentence_id).token_ids.tolist() == alone.token_ids.tolist()

    def test_counts_are_json(self, write):
        _, counts = write()
        assert json.loads(json.dumps(asdict(counts))) == asdict(counts)

    def test_progress_is_told(self, tmp_path: Path):
        heard: list[int] = []
        (tmp_path / "text").mkdir()
        source = source_of(tmp_path / "x.jsonl", [{"text": f"Number {i}."} for i in range(3000)])
        write_text(tmp_path / "text", source, ALL, lambda counts: heard.append(counts.n_sentences))
        assert len(heard) > 1
        assert heard == sorted(heard)
        assert heard[-1] == 3000

    def test_what_is_not_indexed_is_counted(self, tmp_path: Path):
        (tmp_path / "text").mkdir()
        corpus = tmp_path / "x.jsonl"
        corpus.write_bytes(b'{"text": "caf\xe9 \\ud800."}\n{"text": " "}\n{"text": "\\u0301 \\u0301"}')
        source = TextSource([open_corpus(str(corpus))], word_piece(), None, [], 10)  # which has no token for accents
        assert write_text(tmp_path / "text", source, ALL) == TextCounts(
            n_documents=3,
            n_documents_empty=1,
            n_sentences=1,
            n_tokens=2,
            n_undecodable_bytes=2,
            n_lines=3,
            n_empty_sentences=1,
            n_sentences_by_corpus=[1],
        )
        assert texts(tmp_path / "text") == ["caf\ufffd \ufffd."]

    def test_memory_does_not_grow_with_the_corpus(self, tmp_path: Path):
        def peak_of(n: int) -> int:
            folder = tmp_path / str(n)
            folder.mkdir()
            corpus = tmp_path / f"{n}.txt"
            corpus.write_text("".join(f"The fox has number {i}.\n\nA dog!\n\n" for i in range(n)))
            source = TextSource([open_corpus(str(corpus))], BPE, BYTES, VOCABULARY, 100)
            tracemalloc.start()
            write_text(folder, source, IndexOptions(holdout=0.3))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return peak

        few, many = peak_of(1000), peak_of(4000)
        assert many < 1.2 * few


class TestHoldout:
    def test_it_is_decided_by_text_and_seed(self):
        many = [f"document {i}" for i in range(4000)]
        first, again, other = (
            [is_held_out(text, IndexOptions(holdout=0.25, seed=seed)) for text in many] for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other
        for held_out in (first, other):
            assert sum(held_out) / 4000 == pytest.approx(0.25, abs=0.03)

    def test_a_larger_share_holds_out_the_same_and_more(self):
        many = [f"document {i}" for i in range(1000)]
        few, more = ({t for t in many if is_held_out(t, IndexOptions(holdout=h))} for h in (0.1, 0.4))
        assert few < more

    def test_none(self):
        assert not any(is_held_out(f"document {i}", ALL) for i in range(1000))


class TestLimits:
    def test_max_sentences_takes_the_first_ones(self, write):
        whole, _ = write(folder="whole")
        folder, counts = write(options=IndexOptions(holdout=0, max_sentences=3))
        assert texts(folder) == texts(whole)[:3]
        assert (counts.n_sentences, counts.stopped_by) == (3, "max_sentences")

    def test_max_tokens_is_never_passed(self, write):
        whole, whole_counts = write(folder="whole")
        starts = load_file(whole / "tokens.safetensors")["sentence_start"].tolist()
        for n, max_tokens in ((4, starts[4]), (4, starts[5] - 1), (5, starts[5])):
            options = IndexOptions(holdout=0, max_tokens=max_tokens)
            folder, counts = write(options=options, folder=str(max_tokens))
            assert texts(folder) == texts(whole)[:n]
            assert (counts.n_tokens, counts.stopped_by) == (starts[n], "max_tokens")
        assert whole_counts.stopped_by is None

    def test_a_limit_that_is_not_reached(self, write):
        _, counts = write(options=IndexOptions(holdout=0, max_sentences=1000, max_tokens=10_000))
        assert counts.stopped_by is None

    def test_long_sentences_are_cut(self, write):
        text = "Short. 0123456789abcdefghijklmno😀 end."
        folder, counts = write([{"text": text}], max_tokens=10)
        assert texts(folder) == ["Short.", "0123456789", "abcdefghij", "klmno😀 ", "end."]
        for _, document_id, start_byte, piece, _, _ in rows(folder, "sentences"):
            assert document_id == 0
            assert text.encode()[start_byte:].startswith(piece.encode())
        assert (np.diff(load_file(folder / "tokens.safetensors")["sentence_start"].astype(int)) <= 10).all()
        assert (counts.n_long_sentences, counts.n_windows, counts.n_sentences) == (1, 4, 5)

    def test_long_sentences_are_refused(self, write):
        options = IndexOptions(holdout=0, long_sentences="refuse")
        with pytest.raises(InputError, match=r"sentence of 25 tokens.* Expected at most 10 .*--long-sentences window"):
            write([{"text": "Short."}, {"text": "z" * 25}], options, max_tokens=10)

    def test_more_tokens_than_an_index_can_hold(self, write, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(text_writer, "NO_TOKEN", 20)
        with pytest.raises(InputError, match=r"the corpus has more than 19 tokens\. .*32 bits.* --max-tokens"):
            write()


class TestNothingToIndex:
    def test_an_empty_corpus(self, write):
        with pytest.raises(InputError) as error:
            write([])
        assert str(error.value) == (
            "the corpus text.jsonl is empty. Expected at least one document with text. Give another corpus."
        )

    def test_everything_is_held_out(self, write):
        options = seed_that_holds_out("A dog!", "Only there. Only there.")
        with pytest.raises(InputError) as error:
            write([DOCUMENTS[5], DOCUMENTS[7]], options)
        assert str(error.value) == (
            "no sentence of text.jsonl is left to index (n_documents 2, n_documents_held_out 2, "
            f"n_sentences_held_out 2, n_tokens_held_out {len(BPE.encode('A dog!Only there.').ids)}, n_lines 2). "
            "Expected at least one sentence that is not held out. "
            "Lower --holdout, raise --max-sentences or --max-tokens, or give more text."
        )

    def test_the_first_sentence_is_over_the_limit(self, write):
        with pytest.raises(InputError, match=r"stopped_by max_tokens"):
            write(options=IndexOptions(holdout=0, max_tokens=1))


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
        assert peak < 24 * N_MANY  # 8 bytes each, twice, and the rows of one part
