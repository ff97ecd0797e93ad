"""Which document each sentence lies in, as runs of sentences: as large as there are documents, however long they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DocumentRuns:
    """Sentences of one document stand side by side, so where each document begins says which one a sentence lies in."""

    first_sentence: np.ndarray
    """(runs,) the first sentence of each run, ascending from 0."""
    document: np.ndarray
    """(runs,) the document that it lies in."""
    n_sentences: int
    """Of all runs together."""

    def of(self, sentence_ids: np.ndarray) -> np.ndarray:
        """The documents of sentences."""
        found: np.ndarray = self.document[np.searchsorted(self.first_sentence, sentence_ids, side="right") - 1]
        return found

    def of_documents(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sentences of some documents: the first of each run of them, and the one after its last.

        Args:
            chosen: (documents,) whether each is one.
        """
        ends = np.append(self.first_sentence[1:], self.n_sentences)
        some = chosen[self.document]
        return self.first_sentence[some], ends[some]


def document_runs(blocks: Iterable[Sequence[tuple[int, int, int, int]]], n_sentences: int) -> DocumentRuns:
    """Runs from (document, its first sentence, its last, how many) in any order, many rows at a time.

    Raises:
        ValueError: a number is none, the sentences of a document do not stand side by side, or some sentence has no document.
    """
    parts = [np.zeros((0, 4), dtype=np.int64)]
    for rows in blocks:
        if not all(type(number) is int for row in rows for number in row):
            raise ValueError("the number of a document is none")
        parts.append(np.array(rows, dtype=np.int64).reshape(-1, 4))
    document, first, last, n = np.concatenate(parts).T
    order = np.argsort(first, kind="stable")
    document, first, last, n = document[order], first[order], last[order], n[order]
    ends = np.append(first[1:], n_sentences)
    if len(first) and (first[0] != 0 or (last - first + 1 != n).any() or (last + 1 != ends).any()):
        raise ValueError("the sentences of a document do not stand side by side")
    if not len(first) and n_sentences:
        raise ValueError(f"none of {n_sentences:,} sentences has a document")
    return DocumentRuns(first, document, n_sentences)
