"""The first tokens of an index's text, as the text of another index."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import ffmem
from ffmem import Index, IndexOptions, StoreError
from ffmem.index.text.cut import TextOfIndex, write_cut_text
from ffmem.options import RunOptions
from ffmem.store.text import TextReader


@pytest.fixture(scope="module")
def index(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("cut") / "index"
    options = IndexOptions(top=3, promoted=3, holdout=0.3, split="windows:12:6")
    return ffmem.build_index(tiny_folder("gpt2"), corpus, folder, options=options, run=RunOptions(workers=0))


def rows(folder: Path) -> list[tuple[Any, ...]]:
    columns = "s.text, d.name, d.metadata, d.held_out, d.n_bytes, start_byte, n_occurrences, also_indexed"
    with closing(sqlite3.connect(folder / "text.sqlite")) as database:
        found = f"SELECT {columns} FROM sentences s JOIN documents d ON d.id = document_id ORDER BY s.id"
        return database.execute(found).fetchall()


def test_the_whole_text_is_the_same_text(index: Index, tmp_path: Path) -> None:
    counts = write_cut_text(tmp_path, index, None)
    own = index.folder / "index"
    assert rows(tmp_path) == rows(own)
    mine, its = load_file(tmp_path / "tokens.safetensors"), load_file(own / "tokens.safetensors")
    assert mine.keys() == its.keys() and "context" in its  # windows that overlap
    assert all(np.array_equal(mine[name], its[name]) for name in its)
    assert (tmp_path / "tokenizer.json").read_bytes() == (own / "tokenizer.json").read_bytes()
    known = index.manifest.counts
    for name in (
        "n_documents",
        "n_documents_held_out",
        "n_sentences",
        "n_sentences_held_out",
        "n_tokens",
        "n_duplicates",
    ):
        assert getattr(counts, name) == getattr(known, name), name
    assert counts.n_context_tokens == known.json["n_context_tokens"] > 0 and counts.stopped_by is None
    assert counts.n_held_out_also_indexed == known.json["n_held_out_also_indexed"]


def test_a_cut_has_whole_sentences_up_to_so_many_tokens_and_what_was_held_out_until_then(
    index: Index, tmp_path: Path
) -> None:
    counts = write_cut_text(tmp_path, index, 300)
    starts = index.text.sentence_start.astype(int)
    expected = max(n for n in range(index.text.n_sentences + 1) if starts[n] <= 300)  # indexed sentences come first
    assert counts.n_sentences == expected and counts.n_tokens == starts[expected] <= 300
    reader, whole = TextReader(tmp_path), rows(index.folder / "index")
    assert reader.n_sentences == expected and counts.stopped_by == "max_tokens"
    cut = rows(tmp_path)
    assert [row[0] for row in cut[:expected]] == [row[0] for row in whole[:expected]]
    read = set(reader.document_of(np.arange(expected)).tolist())
    of_held_out = reader.document_of(np.arange(expected, reader.n_all_sentences))
    assert len(of_held_out) == counts.n_sentences_held_out > 0 and max(of_held_out) < max(read)
    assert all(row[3] for row in cut[expected:]) and not any(row[3] for row in cut[:expected])


def test_a_cut_shorter_than_a_sentence_is_refused(index: Index, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the first sentence of .* has \d+ tokens. Expected at most 1"):
        write_cut_text(tmp_path, index, 1)


def test_its_identity_is_that_of_the_index_and_of_how_it_was_read(index: Index) -> None:
    identity = TextOfIndex(index).identity()
    assert identity["of"] == index.manifest.identity.json["corpus"] and identity["kind"] == "index"
    assert identity["read"] == {"split": "windows:12:6", "holdout": 0.3, "seed": 0, "duplicates": "once"}
