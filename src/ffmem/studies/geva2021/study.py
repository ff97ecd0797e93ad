"""The experiments of Geva, Schuster, Berant and Levy (EMNLP 2021), on the model of an index."""

from collections.abc import Callable, Iterator

from ffmem.errors import InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.controls import ControlKind
from ffmem.store.reader import Index
from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.geva2021.context import NAME, Geva2021
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.held_out import held_out_corpus
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import StageListener, Study, Subject


def _control(kind: ControlKind) -> Callable[[Geva2021, StageListener], Geva2021]:
    def begin(shared: Geva2021, listen: StageListener) -> Geva2021:
        # with it comes all that builds an index: seconds, for whoever only reads results
        from ffmem.studies.geva2021.controls import begin_control

        return begin_control(shared, kind, listen)

    return begin


def _begin(subject: Subject, options: StudyOptions, _: StageListener) -> Geva2021:
    if subject.index is None:
        raise InputError(
            "the study geva2021 is given no index",
            "Expected an index of the model's cells, for their triggers",
            "Make one: ffmem index MODEL CORPUS --out FOLDER",
        )
    index = subject.index.without_dictionaries()
    index.check_whole("a study of the paper's experiments")
    held_out = held_out_corpus(NAME, subject, options.held_out)
    shared = Geva2021(index, options, subject, held_out)
    if shared.predicts:
        shared.prefixes  # noqa: B018 (that there is no held-out text is found out before the first experiments)
    return shared


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out = findings.index, findings.header["held_out"]
    counts, facts, identity = index.manifest.counts, index.manifest.model, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    gated = ", gated" if facts.gated else ""
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {facts.activation}{gated}"
    yield from findings.left_out()
    read_by = ", ".join(projections(findings)) or index.manifest.projection
    yield "vocabulary", f"{facts.d_vocab:,} tokens; values read by the projection {read_by}"
    yield "indexed", f"{counts.n_sentences:,} sentences, {counts.n_tokens:,} tokens of {findings.corpus}"
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield "seed", str(findings.header["options"]["seed"])


def projections(findings: Findings) -> list[str]:
    """By which values were read, the index's own first."""
    own = findings.index.manifest.projection
    names = [name.removeprefix("agreement-") for name in findings.values if name.startswith("agreement-")]
    return sorted(names, key=lambda one: (one != own, one))


def _left_out(findings: Findings) -> Iterator[str]:
    if not findings.index.manifest.model.predicts_next_token:
        yield (
            f"{findings.model} does not predict the next token of a text, so the experiments on values, changed triggers and "
            "predictions do not apply to it."
        )


STUDY: Study[Geva2021] = Study(
    name=NAME,
    kicker="Feed-forward layers as key-value memories",
    paper="Geva, Schuster, Berant and Levy, EMNLP 2021",
    intro=(
        "The experiments of Geva, Schuster, Berant and Levy (EMNLP 2021) on this model and this text, beside the paper's "
        "numbers. The paper's model has 16 layers of 4,096 ReLU cells and was trained on 100 million words of WikiText-103; "
        "where this one differs in size, text or vocabulary, equal numbers are not to be expected: what can be compared are "
        "shapes."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew (patterns: cells). ~ marks numbers read off the paper's "
        "figures; - stands where it gives none. What is said to be shown or contradicted is so at 5 % for all claims of this "
        "page together."
    ),
    options=StudyOptions,
    begin=_begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, _control("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, _control("shuffled")),
    ),
    left_out=_left_out,
)


def reproduce(
    index: Index,
    options: StudyOptions = StudyOptions(),  # noqa: B008 (frozen)
    progress: StageListener = lambda _: None,
    *,
    controls: bool = True,
) -> Results:
    """Every experiment of the paper on the model of an index, and on its controls.

    Args:
        index: a finished index; its model is loaded from where it had it from.
        options: what is sampled, and from which held-out text.
        progress: called as the study goes on.
        controls: whether the untrained and the shuffled model are studied beside it.

    Returns:
        the results, which lie in the index's folder under ``results``; the same call again reads them, and goes on from
        where an earlier one was stopped.

    Raises:
        InputError: there is no held-out text, the index does not have all cells of the model, or the model is not that of
            the index.

    Cost: some three products of all values with the vocabulary, and for each held-out prefix a forward pass and three
        products with the vocabulary a layer.
    """
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    return run_study(STUDY, subject, options, progress, controls=controls)
