"""A stretch of text against loops over its sentences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.analyses.sparsity.stretch import Stretch, stretch_of

OWN = [[5, 6, 7], [5], [6, 7, 6, 7]]
STRETCH = Stretch(tuple(np.array(one) for one in OWN), np.array([1, 0, 0]), np.array([3, 3, 9]))


def test_positions_that_are_skipped_have_no_number() -> None:
    assert len(STRETCH) == 7 and STRETCH.starts.tolist() == [0, 2, 3, 7]
    assert STRETCH.token.tolist() == [6, 7, 5, 6, 7, 6, 7]
    assert STRETCH.position.tolist() == [1, 2, 0, 0, 1, 2, 3]
    assert STRETCH.sentence.tolist() == [0, 0, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("n", [2, 3])
def test_equal_runs_of_tokens_have_equal_numbers(n: int) -> None:
    """A run may begin in what is skipped, not in another sentence."""
    expected: list[tuple[int, ...] | None] = []
    for own, skip in zip(OWN, STRETCH.skip.tolist(), strict=True):
        expected += [tuple(own[at - n + 1 : at + 1]) if at + 1 >= n else None for at in range(skip, len(own))]
    found = STRETCH.ngrams(n).tolist()
    assert [one == -1 for one in found] == [one is None for one in expected]
    for a, one in enumerate(expected):
        for b, other in enumerate(expected):
            assert (found[a] == found[b]) == (one == other)


def test_windows_are_whole_sentences_and_what_is_left_over_is_none() -> None:
    assert STRETCH.windows(2).tolist() == [0, 2, 7] and STRETCH.windows(3).tolist() == [0, 3, 7]
    assert STRETCH.windows(8).tolist() == [0]
    assert [len(STRETCH.some(n)) for n in (1, 2, 3, 7, 99)] == [2, 2, 3, 7, 7]


def test_documents_are_whole_in_order_and_drawn_by_seed(index_of: Callable[[str], Index]) -> None:
    text = index_of("gpt2").text
    every = stretch_of(text, (0, text.n_sentences), 10**9, skip_first=1, seed=3)
    lengths = np.diff(text.sentence_start[: text.n_sentences + 1].astype(np.int64))
    assert len(every) == int((lengths - 1).clip(0).sum())
    some = stretch_of(text, (0, text.n_sentences), 300, skip_first=1, seed=3)
    assert 300 <= len(some) <= 300 + lengths.max()
    assert some.documents.tolist() == every.documents[: len(some.documents)].tolist()
    other = stretch_of(text, (0, text.n_sentences), 300, skip_first=1, seed=4)
    assert other.documents.tolist() != some.documents.tolist()
    ids = np.flatnonzero(text.document_of(np.arange(text.n_sentences)) == every.documents[0])
    first = [text.sentence(int(one)).token_ids.tolist() for one in ids if lengths[one] > 1]
    assert [one.tolist() for one in every.tokens[: len(first)]] == first


def test_overlapping_windows_of_a_document_count_each_token_once(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    options = IndexOptions(split="windows:16", top=2, promoted=2, holdout=0, max_tokens=900)
    index = ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=options, run=RunOptions(workers=0))
    found = stretch_of(index.text, (0, index.text.n_sentences), 10**9)
    assert len(found) == int(index.layer(0).counts[0, 0])


def test_text_without_positions_is_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match="no sentence has a position that counts"):
        stretch_of(index_of("gpt2").text, (0, 0), 10)
