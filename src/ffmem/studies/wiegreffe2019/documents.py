"""Documents of an index as a small classifier reads them, and what they say they are about."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ffmem.analyses.diagnostics.guide import Labelled
from ffmem.store.text import LABEL_FIELDS, TextReader

_FIELDS = (*LABEL_FIELDS, "genre")
_LEAST = 10
"""Documents that a classifier learns from, and that it is tested on."""


@dataclass(frozen=True)
class Documents:
    """The first tokens of some documents."""

    tokens: Int[np.ndarray, "documents tokens"]
    numbers: Int[np.ndarray, "documents"]
    """Of each in the index."""
    test: Bool[np.ndarray, "documents"]
    """Those that the index holds out."""
    n_short: int
    """Documents of the index that have fewer tokens."""

    @property
    def enough(self) -> bool:
        """Whether there are documents to learn from, and others to be tested on."""
        return min(int(self.test.sum()), int((~self.test).sum())) >= _LEAST

    def labelled(self, labels: Int[np.ndarray, "all_documents"]) -> Labelled:
        """With their labels."""
        return Labelled(self.tokens, labels[self.numbers].astype(np.int64), self.test)


def labels_of(text: TextReader) -> dict[str, np.ndarray]:
    """The labels of all documents under each field that all of them have, with more than one among them."""
    values: dict[str, list[str]] = {name: [] for name in _FIELDS}
    for metadata in text.metadata():
        values = {name: some for name, some in values.items() if isinstance(metadata.get(name), str)}
        for name, some in values.items():
            some.append(metadata[name])
    return {name: np.unique(some, return_inverse=True)[1] for name, some in values.items() if len(set(some)) > 1}


def first_tokens(text: TextReader, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first n tokens of each document that has as many, its number, and whether it was held out."""
    starts = text.sentence_start.astype(np.int64)
    sentences = np.arange(text.n_all_sentences)
    if text.context is not None:
        sentences = sentences[text.context == 0]
    documents = text.document_of(sentences)
    held_out = set(documents[sentences >= text.n_sentences].tolist())
    read: dict[int, list[int]] = {}
    for sentence, document in zip(sentences.tolist(), documents.tolist(), strict=True):
        so_far = read.setdefault(document, [])
        if len(so_far) < n:
            so_far += text.token_id[starts[sentence] : starts[sentence + 1]].tolist()
    long = {document: ids[:n] for document, ids in sorted(read.items()) if len(ids) >= n}
    tokens = np.array(list(long.values()), dtype=np.int64).reshape(-1, n)
    return tokens, np.array(list(long), dtype=np.int64), np.array([one in held_out for one in long], dtype=bool)


def documents_of(text: TextReader, n_tokens: int, most: int, seed: int) -> Documents:
    """Some of the indexed documents, and half as many of those that were held out."""
    tokens, numbers, test = first_tokens(text, n_tokens)
    n_all = int(text.document_of(np.arange(text.n_all_sentences)).max()) + 1
    rng = np.random.default_rng([seed, 43])
    chosen = [rng.permutation(np.flatnonzero(one))[:n] for one, n in ((~test, most), (test, most // 2))]
    kept = np.sort(np.concatenate(chosen))
    return Documents(tokens[kept], numbers[kept], test[kept], n_all - len(tokens))
