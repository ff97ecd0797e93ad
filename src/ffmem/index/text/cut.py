"""The first tokens of an index's text, as the text of another index: the same sentences, even if their source is gone."""

from pathlib import Path

import numpy as np

from ffmem.corpus.documents import Corpus
from ffmem.corpus.tokens import TokenizedSentence, Window
from ffmem.errors import StoreError
from ffmem.index.text.text_spool import TextSpool, sentence_key
from ffmem.index.text.writer import TextCounts
from ffmem.json_values import JsonObject
from ffmem.store.files import atomic_write
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index


class TextOfIndex(Corpus):
    """The text of an index, which is stored in tokens already.

    Args:
        index: a finished index, of a model with the same tokenizer.
    """

    kind = "index"

    def __init__(self, index: Index) -> None:
        super().__init__()
        self.index = index
        self._identity: JsonObject = index.manifest.identity.json["corpus"]
        self.name = str(self._identity["name"])

    def identity(self) -> JsonObject:
        """See Corpus.identity: the corpora of the index, and how they were read."""
        options = self.index.manifest.options
        cut = {
            "split": options.split,
            "holdout": options.holdout,
            "seed": options.seed,
            "duplicates": options.duplicates,
        }
        return {"kind": self.kind, "name": self.name, "of": self._identity, "read": cut}


def write_cut_text(folder: Path, index: Index, max_tokens: int | None) -> TextCounts:
    """Write the text side of a store, as `write_text` does, of the first sentences of an index.

    Args:
        folder: to be written to.
        index: a finished index.
        max_tokens: stop before its indexed sentences have more than this. Held-out sentences come with the documents
            that were read until then.

    Raises:
        StoreError: the text of the index is damaged, or its first sentence is longer.
    """
    text = index.text
    sizes = np.diff(text.sentence_start.astype(np.int64))
    ends = sizes[: text.n_sentences].cumsum()
    n_indexed = len(ends) if max_tokens is None else int(np.searchsorted(ends, max_tokens, side="right"))
    if n_indexed == 0:
        raise StoreError(
            f"the first sentence of {index.folder} has {int(sizes[0])} tokens",
            f"Expected at most {max_tokens}, as is asked for",
            "Ask for more tokens",
        )
    counts = TextCounts(
        n_windows=index.manifest.counts.json.get("n_windows", 0),
        n_long_sentences=index.manifest.counts.json.get("n_long_sentences", 0),
        stopped_by=None if n_indexed == len(ends) else "max_tokens",
        n_sentences_by_corpus=[n_indexed],
    )
    with TextSpool(folder, text.vocabulary) as spool:
        last = _add_sentences(spool, index, range(n_indexed), None, counts)
        if n_indexed == len(ends):
            last = index.manifest.counts.n_documents - 1
        for number in range(last + 1):
            document = text.document(number)
            spool.add_stored_document(number, document.name, document.metadata, document.held_out, document.n_bytes)
            counts.n_documents += 1
            counts.n_documents_held_out += document.held_out
        _add_sentences(spool, index, range(text.n_sentences, text.n_all_sentences), last, counts)
        counts.n_held_out_also_indexed = spool.finish(n_indexed)
    atomic_write(folder / "tokenizer.json", (StorePaths(index.folder).index / "tokenizer.json").read_bytes())
    return counts


def _add_sentences(spool: TextSpool, index: Index, ids: range, last_document: int | None, counts: TextCounts) -> int:
    """Add sentences of documents up to one; the last document that one was added of."""
    last = 0
    for number in ids:
        row = index.text.sentence(number)
        if last_document is not None and row.document_id > last_document:
            break
        last = row.document_id
        context = 0 if index.text.context is None else int(index.text.context[number])
        piece = Window(
            row.start_byte, row.text, TokenizedSentence(row.token_ids, row.token_starts, row.token_ends), context
        )
        key = sentence_key(piece, row.held_out)
        spool.add_sentence(row.document_id, piece, row.held_out, key, row.n_occurrences)
        if row.held_out:
            counts.n_sentences_held_out += 1
            counts.n_tokens_held_out += len(row.token_ids)
        else:
            counts.n_sentences += 1
            counts.n_tokens += len(row.token_ids)
            counts.n_context_tokens += context
            counts.n_duplicates += row.n_occurrences - 1
    return last
