"""Text that an index has not seen, for studies that ask a model what comes next: held out by its build, or another corpus."""

import shutil
from dataclasses import replace
from pathlib import Path

from ffmem.corpus.documents import Corpus
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.store.text import TextReader
from ffmem.studies.results import FOLDER
from ffmem.studies.study import Subject

_HELD_OUT_SENTENCES = 50_000
"""Most sentences that are read of another corpus."""


def held_out_corpus(study: str, subject: Subject, named: str | None) -> Corpus | None:
    """The other corpus that a user gave or named, ready to be read; None if it is to be the index's own held-out text.

    Args:
        study: its name, for messages.
        subject: of a study that needs an index.
        named: what the option of the study says.

    Raises:
        InputError: several are given, or one cannot be opened.
    """
    if len(subject.corpora) > 1:
        raise InputError(
            f"the study {study} is given {len(subject.corpora)} corpora",
            "Expected one corpus at most, for held-out text",
            "Give one of them",
        )
    found = subject.corpora[0] if subject.corpora else None
    if found is None and named is not None:
        found = open_corpus(named, encoding=subject.encoding)
    if found is not None and subject.index is not None:
        found.settle(subject.index.folder / FOLDER, None)
    return found


def text_of(corpus: Corpus, model: Transformer, index_options: IndexOptions, results: Path) -> TextReader:
    """The text of a corpus, in the model's tokens, cut as an index was; kept beside the results."""
    # with them comes all that builds an index: seconds, for whoever only reads results
    from ffmem.index.request import Request, text_source
    from ffmem.index.text.writer import write_text

    folder = results / "held-out"
    if not (folder / "tokenizer.json").exists():
        folder.mkdir(exist_ok=True)
        options = replace(index_options, holdout=0.0, max_tokens=None, max_sentences=_HELD_OUT_SENTENCES)
        write_text(folder, text_source(model, Request("", None, (corpus,), options)), options)
        try:
            corpus.check_unchanged()
        except InputError:
            shutil.rmtree(folder)  # else the next run would take it
            raise
    return TextReader(folder)
