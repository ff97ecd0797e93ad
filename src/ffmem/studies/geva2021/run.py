"""Runs a study: what is finished is not done again."""

import time

from ffmem.corpus.registry import open_corpus
from ffmem.models.threads import torch_threads
from ffmem.store.reader import Index
from ffmem.studies.geva2021.experiments import Listener, Stage, Study, experiments
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.results import FOLDER, Results

COSTS = "costs"
"""Seconds that each experiment took: kept apart, since they are no result."""


def reproduce(
    index: Index,
    options: StudyOptions = StudyOptions(),  # noqa: B008 (frozen)
    *,
    model: str | None = None,
    encoding: str = "utf-8",
    threads: int = 1,
    trust_remote_code: bool = False,
    progress: Listener = lambda _: None,
) -> Results:
    """Every experiment of Geva et al. 2021 on the model of an index.

    Args:
        index: a finished index.
        options: what is sampled, and from which held-out text.
        model: where the model is, if not where the index had it from.
        encoding: of files of held-out text that the options name.
        threads: processors for the model; with more than 1, numbers agree to rounding only.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        progress: called as the study goes on.

    Returns:
        the results, which lie in the index's folder under ``results``; the same call again reads them, and goes on from
        where an earlier one was stopped.

    Raises:
        InputError: there is no held-out text, the index does not have all cells of the model, or the model is not that of
            the index.

    Cost: some three products of all values with the vocabulary, and for each held-out prefix a forward pass and three
        products with the vocabulary a layer.
    """
    index.check_whole("a study of the paper's experiments")
    corpus = None if options.held_out is None else open_corpus(options.held_out, encoding=encoding)
    if corpus is not None:
        corpus.settle(index.folder / FOLDER, None)
    study = Study(index, options, corpus, model, trust_remote_code=trust_remote_code)
    with torch_threads(threads):
        return _run(study, progress)


def _run(study: Study, progress: Listener) -> Results:
    if study.predicts:
        study.prefixes  # noqa: B018 (that there is held-out text is not found out after the first experiments)
    costs = study.results.load(COSTS) if COSTS in study.results else {}
    for name, run in experiments(study).items():
        if name in study.results:
            progress(Stage(name, 1, 1))
            continue
        begin = time.monotonic()
        progress(Stage(name, 0, 0))
        run(study, progress)
        costs[name] = round(time.monotonic() - begin, 1)
        study.results.save(COSTS, costs)
    return study.results
