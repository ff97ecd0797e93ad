"""Positions that meet conditions, made one by one and block by block, against a loop over every token."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ffmem.queries import mark_bits
from ffmem.queries.mark_bits import MOST_RUNS, Marked, OfDocuments, OfPlaces, Ranges, Sought, mark
from ffmem.queries.text_places import TextPlaces
from ffmem.store.text import TextReader
from tests.fixtures.made_index import Document, Layer, make_index

WORDS = [f"{one} " for one in "abcdefg"]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with context"])
def text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextReader:
    """Forty documents, a few of them empty or long, the last three held out."""
    rng = np.random.default_rng(7)
    documents = [
        Document([rng.choice(WORDS, rng.integers(1, 9)).tolist() for _ in range(rng.integers(0, 7))], held_out=n > 36)
        for n in range(40)
    ]
    n_tokens = sum(len(tokens) for one in documents for tokens in one.sentences if not one.held_out)
    folder = tmp_path_factory.mktemp("made")
    index = make_index(folder / "i", documents, [Layer(np.ones((n_tokens, 1)))], vocabulary=WORDS)
    if request.param:
        path = folder / "i" / "index" / "tokens.safetensors"
        arrays = load_file(path)
        lengths = np.diff(arrays["sentence_start"].astype(np.int64))
        save_file(arrays | {"context": rng.integers(0, lengths, dtype=np.int64).astype(np.uint32)}, path)
    return TextReader(index.folder / "index")


def places_of(text: TextReader, share: float, seed: int) -> TextPlaces:
    """Some sentences, with a token each."""
    rng, starts = np.random.default_rng(seed), text.sentence_start.astype(np.int64)
    sentences = np.flatnonzero(rng.random(text.n_sentences) < share)
    positions = rng.integers(0, starts[sentences + 1] - starts[sentences])
    return TextPlaces(sentences.astype(np.uint32), positions.astype(np.uint32), "")


def slow(
    text: TextReader, places: TextPlaces | None, chosen: Sequence[bool] | None, own: int | None, after: int | None
) -> tuple[list[int], int]:
    """Token indices, and how many of them are no context."""
    from_where = {} if places is None else dict(zip(places.sentences.tolist(), places.positions.tolist(), strict=True))
    found, n_counted = [], 0
    for sentence in range(text.n_sentences):
        first, end = text.sentence_range(sentence)
        for token in range(first, end):
            following = int(text.token_id[token + 1]) if token + 1 < end else None
            if (
                (places is None or token - first >= from_where.get(sentence, 10**9))
                and (chosen is None or chosen[text.sentence(sentence).document_id])
                and own in (None, int(text.token_id[token]))
                and after in (None, following)
            ):
                found.append(token)
                n_counted += text.context is None or token - first >= int(text.context[sentence])
    return found, n_counted


def tokens_of(marked: Marked, text: TextReader) -> list[int]:
    bits = np.unpackbits(marked.bits, bitorder="little")
    assert len(bits) > len(text.token_id) and not bits[len(text.token_id) :].any()
    return [int(token) for token in np.flatnonzero(bits)]


@pytest.mark.parametrize("block", [8, 16, 1 << 20])
@pytest.mark.parametrize("one_by_one", [0, 1 << 20])
@pytest.mark.parametrize(
    ("share", "with_documents", "own", "after"),
    [
        (0.3, False, None, None), (1.0, False, None, None), (0.7, True, None, None), (0.0, False, None, None),
        (None, True, None, None), (None, False, 2, None), (None, False, None, 1), (0.9, True, 1, 2), (0.9, False, None, 3),
        (None, True, 0, None),
    ],
)  # fmt: skip
def test_both_ways_equal_a_loop(
    text: TextReader,
    share: float | None,
    with_documents: bool,
    own: int | None,
    after: int | None,
    one_by_one: int,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mark_bits, "_BLOCK", block)
    monkeypatch.setattr(mark_bits, "_ONE_BY_ONE", one_by_one)
    places = None if share is None else places_of(text, share, seed=3)
    chosen = np.arange(40) % 3 != 1 if with_documents else None
    ranges: list[Ranges] = [] if places is None else [OfPlaces(text, places)]
    ranges += [] if chosen is None else [OfDocuments(text, text.document_runs, chosen)]
    marked = mark(text, text.n_sentences, Sought(ranges, own, after))
    tokens, n_counted = slow(text, places, chosen, own, after)
    assert tokens_of(marked, text) == tokens and marked.n_counted == n_counted
    assert tokens or share == 0.0
    assert marked.runs is not None
    runs = [(first, end) for first, end in zip(*(one.tolist() for one in marked.runs), strict=True)]
    assert [token for first, end in runs for token in range(first, end)] == tokens
    assert all(before < first for (_, before), (first, _) in pairwise(runs))  # none touches the next
    for one in ranges:
        n = int(text.sentence_start[text.n_sentences])
        firsts, ends = one.within(0, len(text.token_id))
        assert (
            one.n_tokens == (ends - firsts).sum()
            and one.has(np.arange(n)).sum() == (np.minimum(ends, n) - firsts)[firsts < n].sum()
        )


@pytest.mark.parametrize("one_by_one", [0, 1 << 20])
def test_of_many_runs_none_is_kept(text: TextReader, one_by_one: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mark_bits, "_BLOCK", 64)
    monkeypatch.setattr(mark_bits, "_ONE_BY_ONE", one_by_one)
    sought = Sought([OfPlaces(text, places_of(text, 1.0, 3))], 2)
    marked = mark(text, text.n_sentences, sought)
    assert marked.runs is not None and 20 < len(marked.runs[0]) < MOST_RUNS
    monkeypatch.setattr(mark_bits, "MOST_RUNS", len(marked.runs[0]))
    assert mark(text, text.n_sentences, sought).runs is not None
    monkeypatch.setattr(mark_bits, "MOST_RUNS", len(marked.runs[0]) - 1)
    assert mark(text, text.n_sentences, sought).runs is None


def test_few_sentences_are_found_without_reading_the_others(text: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked up grows with the sentences that have the words, not with the text."""
    looked_at = []

    class Counted(TextReader):
        def following(self, tokens: np.ndarray) -> np.ndarray:
            looked_at.append(len(tokens))
            return super().following(tokens)

    reader = Counted(text.path.parent)
    places = places_of(text, 0.1, 3)
    n = OfPlaces(reader, places).n_tokens
    mark(reader, reader.n_sentences, Sought([OfPlaces(reader, places)], None, 2))
    assert looked_at == [n] and 0 < n < len(text.token_id) / 4


def test_a_text_without_tokens_of_these_is_empty(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer(np.ones((1, 1)))])
    nothing = TextPlaces(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint32), "")
    marked = mark(index.text, 1, Sought([OfPlaces(index.text, nothing)]))
    assert not marked.bits.any() and marked.n_counted == 0 and marked.runs is not None and not len(marked.runs[0])
