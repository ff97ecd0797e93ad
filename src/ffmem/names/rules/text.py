"""The positions of an index as arrays: which token stands where, in which sentence and document, and in which half."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.names.halves import N_QUARTERS, quarters
from ffmem.store.reader import Index


@dataclass(frozen=True)
class Text:
    """Indexed positions, by token index. Documents are numbered anew, in the order of their first tokens."""

    token: np.ndarray
    """(n,) number of the token among those that occur."""
    token_ids: np.ndarray
    """(tokens that occur,) ids in the vocabulary, ascending."""
    strings: tuple[str, ...]
    """(tokens that occur,) as text."""
    within: np.ndarray
    """(n,) position in its sentence, from 0."""
    sentence: np.ndarray
    """(n,) number of its sentence."""
    document: np.ndarray
    """(n,) number of its document."""
    competes: np.ndarray
    """(n,) whether a cell can fire there: not at first positions that were skipped, nor in context or excluded shards."""
    quarter: np.ndarray
    """(documents,) 0 and 1 are the naming half, 2 and 3 the half that is held out; all 0 if none is."""
    document_ids: np.ndarray
    """(documents,) ids in the index."""

    @classmethod
    def of(cls, index: Index, *, seed: int = 0) -> "Text":
        """The text of an index.

        Args:
            index: an opened index.
            seed: of how documents are split.

        Cost: 20 bytes a token.
        """
        text, manifest = index.text, index.manifest
        n_sentences = manifest.counts.n_sentences
        starts = text.sentence_start[: n_sentences + 1].astype(np.int64)
        n = int(starts[-1])
        lengths = np.diff(starts)
        token_ids, token = np.unique(text.token_id[:n], return_inverse=True)
        within = (np.arange(n) - np.repeat(starts[:-1], lengths)).astype(np.int32)
        sentence = np.repeat(np.arange(n_sentences, dtype=np.int32), lengths)
        document_ids, document_of = np.unique(text.document_of(np.arange(n_sentences)), return_inverse=True)
        skipped = np.full(n_sentences, manifest.options.skip_first, dtype=np.int64)
        if text.context is not None:
            skipped = np.maximum(skipped, text.context[:n_sentences].astype(np.int64))
        for first, end in manifest.excluded_ranges:
            skipped[first:end] = lengths[first:end]
        labels = text.document_labels()
        label_of = np.zeros(len(document_ids), dtype=np.int64) if labels is None else labels.of_document[document_ids]
        return cls(
            token=token.astype(np.int32),
            token_ids=token_ids,
            strings=text.token_strings(token_ids.tolist()),
            within=within,
            sentence=sentence,
            document=document_of.astype(np.int32)[sentence],
            competes=within >= np.repeat(skipped, lengths),
            quarter=quarters(label_of, seed),
            document_ids=document_ids,
        )

    @property
    def n_documents(self) -> int:
        """Documents with indexed sentences."""
        return len(self.quarter)

    @property
    def is_split(self) -> bool:
        """Whether one half is held out."""
        return bool(self.quarter.any())

    @cached_property
    def quarter_of(self) -> np.ndarray:
        """(n,) the quarter of each position, N_QUARTERS where none competes."""
        found: np.ndarray = np.where(self.competes, self.quarter[self.document], N_QUARTERS).astype(np.uint8)
        return found

    @cached_property
    def n_competing(self) -> np.ndarray:
        """(quarters,) positions that compete."""
        return np.bincount(self.quarter_of, minlength=N_QUARTERS + 1)[:N_QUARTERS]

    def before(self, positions: np.ndarray, n: int) -> np.ndarray:
        """The tokens that stand n before positions, -1 before the beginning of the sentence."""
        places = np.maximum(positions - n, 0)
        return np.where(self.within[positions] >= n, self.token[places], -1)

    def next_tokens(self) -> np.ndarray:
        """(n,) the token after each position, -1 at the end of a sentence."""
        found = np.append(self.token[1:], np.int32(-1))
        found[:-1][np.diff(self.sentence) > 0] = -1
        return found

    def counts(self, values: np.ndarray, n_values: int) -> np.ndarray:
        """(values, quarters) positions that compete, by a number that each position of the text has, -1 for none."""
        wanted = (values >= 0) & self.competes
        keys = values[wanted].astype(np.int64) * N_QUARTERS + self.quarter[self.document[wanted]]
        return np.bincount(keys, minlength=n_values * N_QUARTERS).reshape(n_values, N_QUARTERS)


def folded(string: str) -> str:
    """A token without the white space around it, WordPiece's mark and the difference of capitals."""
    core = string.strip()
    return core.removeprefix("##").casefold() or core or string


def numbered(strings: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """A number for each token, the same for tokens that differ in case and space alone; and what each number stands for."""
    names: dict[str, int] = {}
    numbers = np.array([names.setdefault(folded(one), len(names)) for one in strings], dtype=np.int32)
    return numbers, tuple(names)
