"""The corpus that comes with ffmem: what it promises, and that the recipe's filter gives it."""

import json
from collections import Counter
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from ffmem.corpus.documents import Document
from ffmem.corpus.registry import open_corpus
from ffmem.index.text.writer import is_held_out
from ffmem.options import IndexOptions
from tests.test_reference_model import RECIPE, piece

DATA = files("ffmem") / "data"


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(open_corpus("topics"))


def test_it_is_small_enough_and_counted(documents: list[Document]) -> None:
    counts = json.loads((DATA / "topics.counts.json").read_text())
    with as_file(DATA / "topics.jsonl.xz") as file:
        assert file.stat().st_size == counts["bytes compressed"] <= 2e6
    dropped = sum(n for name, n in counts.items() if name.startswith("dropped"))
    assert counts["written"] == counts["kept"] + dropped and counts["kept"] == len(documents)
    assert counts["words kept"] == sum(len(piece("filter_documents").WORD.findall(one.text)) for one in documents) > 1e6


def test_every_document_says_what_it_is_about(documents: list[Document]) -> None:
    fields = {"topic": 60, "genre": 7}
    for field, n in fields.items():
        found = Counter(one.metadata[field] for one in documents)
        assert len(found) == n and min(found.values()) > len(documents) / n / 2, found
    assert len({one.metadata["seed"] for one in documents}) == len({one.name for one in documents}) == len(documents)
    requests = {(one["topic"], one["aspect"], one["genre"]) for one in piece("write_documents").documents_to_write(1)}
    assert {(one.metadata["topic"], one.metadata["aspect"], one.metadata["genre"]) for one in documents} <= requests
    assert all(one.metadata["topic"] in one.name and one.metadata["aspect"] in one.name for one in documents)


def test_documents_are_clean(documents: list[Document]) -> None:
    filters = piece("filter_documents")
    for one in documents:
        assert filters.why_not(one.text) is None
        assert one.text[-1] in ".!?'\")"
    with_marks = [one.name for one in documents if filters.clean(one.text) != one.text]
    assert len(with_marks) <= 10, with_marks  # lists within lists keep their inner numbers


def test_a_part_by_document_is_held_out(documents: list[Document]) -> None:
    held_out = sum(is_held_out(one.text, IndexOptions()) for one in documents)
    assert 0.03 < held_out / len(documents) < 0.07


@pytest.mark.skipif(not (RECIPE / "written").is_dir(), reason="needs what the recipe wrote, which a clone has")
def test_the_filter_gives_it_again(documents: list[Document], tmp_path: Path) -> None:
    filters, counts = piece("filter_documents"), Counter[str]()
    (tmp_path / "part-000.jsonl.xz").write_bytes((RECIPE / "written" / "part-000.jsonl.xz").read_bytes())
    again = [one["text"] for one in filters.distinct(filters.kept(filters.read(tmp_path), counts), counts)]
    assert again == [one.text for one in documents[: len(again)]] and len(again) > 150
