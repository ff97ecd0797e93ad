"""What the writer of text leaves out: held-out documents, limits, long sentences, and corpora of which nothing is left."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from ffmem.errors import InputError
from ffmem.index.text import writer as text_writer
from ffmem.index.text.writer import is_held_out
from ffmem.options import IndexOptions
from tests.fixtures.written_text import (
    ALL,
    BPE,
    DOCUMENTS,
    rows,
    seed_that_holds_out,
    texts,
)


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
