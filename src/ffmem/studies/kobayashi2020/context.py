"""What the experiment of the study shares with its exhibits' folder: model, text, and where results lie."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ffmem.analyses.attention.options import AttentionOptions
from ffmem.corpus.documents import Corpus
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.models.controls import as_control
from ffmem.models.transformer import Transformer
from ffmem.store.manifest import corpora_of
from ffmem.store.reader import Index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "kobayashi2020"
_TEXTS_OF_CONTROL = 100
"""Most texts that a control reads: it has to show a shape, not a digit."""
_MEASURED = 2
"""Goes up when the experiment keeps something else, so that older results are measured anew."""


@dataclass(frozen=True)
class Context:
    """A model, a corpus that is ready to be read, and the results."""

    results: Results
    model: Transformer
    corpus: Corpus
    options: AttentionOptions
    load: Callable[[], Transformer]
    """Loads the model once more, for a control that is made of it."""


def begin(subject: Subject, options: AttentionOptions, progress: StageListener) -> Context:
    """Load the model, open the corpus, and find the results of earlier runs.

    Raises:
        InputError: there is no corpus, or more than one, or the folder has results of something else.
    """
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    corpus = _corpus_of(subject)
    corpus.settle(folder, None)
    model = subject.model()
    results = _begin_results(folder, model, corpus, options, in_folder_itself=subject.index is None)
    return Context(results, model, corpus, options, subject.model)


def untrained(shared: Context, _: object) -> Context:
    """The same experiments on the model with nothing learned, on some of the texts."""
    model = as_control(shared.load(), "untrained")
    options = replace(shared.options, texts=min(shared.options.texts, _TEXTS_OF_CONTROL))
    folder = shared.results.folder / CONTROLS / "untrained"
    results = _begin_results(folder, model, shared.corpus, options, in_folder_itself=False)
    return Context(results, model, shared.corpus, options, shared.load)


def _begin_results(
    folder: Path, model: Transformer, corpus: Corpus, options: AttentionOptions, *, in_folder_itself: bool
) -> Results:
    identity = {"model": {"name": model.facts.name, **hashes_of(model)}, "corpus": corpus.identity()}
    header = {"study": NAME, "index": identity, "options": options.to_json()}
    decides = {**header, "measured": _MEASURED}
    return begin_results(folder, header, decides, in_folder_itself=in_folder_itself)


def _corpus_of(subject: Subject) -> Corpus:
    """The one that is given, or that of the index."""
    if len(subject.corpora) == 1:
        return subject.corpora[0]
    if subject.corpora:
        raise InputError(
            f"{len(subject.corpora)} corpora are given to the study {NAME}",
            "Expected one corpus, from which it draws its texts",
            "Name one of them, or a pattern that matches all files, in quotes",
        )
    if subject.index is None:
        raise InputError(
            f"the study {NAME} is given no corpus",
            "Expected a corpus, from which it draws its texts",
            "Name one, for example topics",
        )
    return _corpus_of_index(subject.index)


def _corpus_of_index(index: Index) -> Corpus:
    """Opened anew by its name, where that is still the same text."""
    identities = corpora_of(index.manifest.identity.json)
    one = identities[0]
    try:
        if len(identities) > 1 or one["kind"] == "stdin":
            raise InputError("it cannot be read again", "", "")
        corpus = open_corpus(one["name"], one.get("field", "text"), one.get("encoding", "utf-8"))
        same = corpus.identity() == one
    except InputError:
        same = False
    if not same:
        names = ", ".join(one["name"] for one in identities)
        raise InputError(
            f"the text of the index {index.folder} ({names}) cannot be opened again by its name",
            "Expected a corpus, from which the study draws its texts",
            "Name it, as in the command that built the index",
        )
    return corpus
