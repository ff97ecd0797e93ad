"""Which documents a name is made from, and which ones it is held to: positions of one document are not independent."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int8, Integer, UInt8

from ffmem.store.reader import Index

Half = Literal["naming", "judging"]
"""Names are made from the one, and held to the other."""
HALVES: tuple[Half, Half] = ("naming", "judging")
_NUMBERS = {"naming": 0, "judging": 1}
_NEITHER = -1
N_QUARTERS = 4
FEWEST_DOCUMENTS = 12
"""Of fewer documents none are held out: a half would have too few to tell anything."""


@dataclass(frozen=True)
class Halves:
    """The half that each document of an index belongs to."""

    of_document: Int8[np.ndarray, "documents"]
    """0: naming; 1: judging; -1: neither, since it is not indexed."""
    index: Index

    def of_tokens(self, tokens: Integer[np.ndarray, "n"]) -> Int8[np.ndarray, "n"]:
        """The halves of token indices, numbered as `of_document` has it."""
        found: np.ndarray = self.of_document[self.documents_of(tokens)]
        return found

    def documents_of(self, tokens: Integer[np.ndarray, "n"]) -> Integer[np.ndarray, "n"]:
        """The documents that token indices lie in."""
        return self.index.text.document_of(self.index.text.sentence_of(tokens))

    def is_in(self, half: Half, tokens: Integer[np.ndarray, "n"]) -> np.ndarray:
        """Whether token indices lie in a half."""
        found: np.ndarray = self.of_tokens(tokens) == _NUMBERS[half]
        return found

    def documents(self, half: Half) -> Integer[np.ndarray, "some"]:
        """The documents of a half, ascending."""
        return np.flatnonzero(self.of_document == _NUMBERS[half])


def halves(index: Index, seed: int = 0) -> Halves:
    """Half of the indexed documents for each purpose, and of the documents of each label half too: see `quarters`.

    Args:
        index: an opened index.
        seed: of the draw; it and the index alone decide.
    """
    indexed = np.unique(index.text.document_of(np.arange(index.manifest.counts.n_sentences)))
    labels = index.text.document_labels()
    label_of = np.zeros(len(indexed), dtype=np.int64) if labels is None else labels.of_document[indexed]
    found = np.full(index.manifest.counts.n_documents, _NEITHER, dtype=np.int8)
    found[indexed] = quarters(label_of, seed) // 2
    return Halves(found, index)


def quarters(label_of: Integer[np.ndarray, "documents"], seed: int) -> UInt8[np.ndarray, "documents"]:
    """A quarter for each document at random, those of one label spread evenly; all 0 for fewer than `FEWEST_DOCUMENTS`.

    0 and 1 are the naming half, 2 and 3 the half that judges.
    """
    n = len(label_of)
    found = np.zeros(n, dtype=np.uint8)
    if n >= FEWEST_DOCUMENTS:
        rng = np.random.default_rng([seed, 22])
        order = np.lexsort((rng.random(n), label_of))
        found[order] = np.array([0, 2, 1, 3], dtype=np.uint8)[np.arange(n) % N_QUARTERS]
    return found
