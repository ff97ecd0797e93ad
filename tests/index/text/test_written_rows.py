"""What the writer of text writes: rows and arrays against a slow reference, the same each time, in bounded memory."""

import json
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from ffmem.corpus.registry import open_corpus
from ffmem.corpus.tokens import tokenize
from ffmem.index.text.writer import TextCounts, TextSource, write_text
from ffmem.options import IndexOptions
from ffmem.store.text import TextReader
from tests.corpus.tiny_tokenizers import word_piece
from tests.fixtures.written_text import (
    ALL,
    BPE,
    BYTES,
    DOCUMENTS,
    VOCABULARY,
    reference,
    rows,
    seed_that_holds_out,
    source_of,
    texts,
)


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
