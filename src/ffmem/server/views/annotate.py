"""Annotation in the page: batches, one cell at a time without its name, what annotators agree on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ffmem.annotations.adjudication import adjudication_rows
from ffmem.annotations.annotator_agreement import Agreement, measure_agreement
from ffmem.annotations.batches import Batch, index_id
from ffmem.annotations.drafts import Draft
from ffmem.annotations.journal import Journal, Saved, batch_names
from ffmem.annotations.protocol import ADJUDICATED, MIN_TRIGGERS, CellAnnotation, check_name
from ffmem.annotations.summary import Summary, summarize
from ffmem.cell import mark
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.server.explorer import Explorer
from ffmem.server.sharing.visitors import is_own
from ffmem.server.views.annotated import batch_of, stored_of
from ffmem.server.views.overview import labels_by_layer
from ffmem.store.reader import Index


@dataclass(frozen=True)
class Progress(Record):
    """How far an annotator is."""

    annotator: str
    n_done: int
    n_begun: int
    """With something said, and not done."""
    n_cells: int
    next: int
    """The first cell that is not done; the first of all if all are."""


@dataclass(frozen=True)
class BatchView(Record):
    """A batch and its annotators."""

    name: str
    n_cells: int
    progress: tuple[Progress, ...]
    n_to_settle: int
    """Cells that annotators differ on."""
    n_settled: int
    """Of these, the ones that are settled."""


@dataclass(frozen=True)
class AnnotationsView:
    """All batches, how far annotators agree, and the labels by layer."""

    batches: tuple[BatchView, ...]
    agreement: Agreement | None
    why_no_agreement: str
    summary: Summary | None
    why_no_summary: str
    machine: dict[str, dict[str, float]]
    """Share of the triggers with each label by the automatic patterns of the study, by layer; empty without one."""

    def to_json(self) -> JsonObject:
        """The answers; why there are none is for people."""
        return fields_to_json(self, "why_no_agreement", "why_no_summary")


@dataclass(frozen=True)
class ShownPrefix:
    """A trigger as an annotator sees it: nothing that tells cell, layer or coefficient."""

    before: str
    firing: str
    said: str
    """What each annotator marked, where they differ; only for who settles it."""


@dataclass(frozen=True)
class WorkView:
    """One cell of a batch, under its number."""

    batch: str
    annotator: str
    number: int
    n_cells: int
    saved: Saved
    triggers: tuple[ShownPrefix, ...]
    invalid: tuple[int, ...]
    """Patterns that too few different triggers carry."""
    done: tuple[int, ...]
    """Numbers of the cells that are done."""
    numbers: tuple[int, ...]
    """Cells that this annotator goes through: all, or those to settle."""
    said: tuple[str, ...]
    """What each annotator's patterns are; only for who settles it."""
    index: str
    """Under which a browser keeps what is not saved yet; another index may be shown at the same address."""

    @property
    def is_own(self) -> bool:
        """Whether the one who looks may say something here: it is their own page, or the one on which all settle."""
        return is_own(self.annotator, ADJUDICATED)

    @property
    def settles(self) -> bool:
        """Whether this is the adjudication."""
        return self.annotator == ADJUDICATED

    @property
    def previous(self) -> int | None:
        """The cell before; None at the first."""
        return max((one for one in self.numbers if one < self.number), default=None)

    @property
    def next(self) -> int | None:
        """The cell after; None at the last."""
        return min((one for one in self.numbers if one > self.number), default=None)

    def to_json(self) -> JsonObject:
        """What an annotator sees, in the words of the form that comes back."""
        return {
            "batch": self.batch,
            "annotator": self.annotator,
            "cell": self.number,
            "n_cells": self.n_cells,
            "done_cells": list(self.done),
            "triggers": [f"{one.before}[{one.firing}]" for one in self.triggers],
        } | saved_json(self.saved, self.invalid)


def saved_json(saved: Saved, invalid: tuple[int, ...]) -> JsonObject:
    """What is said of a cell, as plain JSON values."""
    told = {
        "revision": saved.revision,
        "can_undo": saved.can_undo,
        "can_redo": saved.can_redo,
        "invalid": list(invalid),
    }
    return told | saved.draft.to_json()


def annotations_view(explorer: Explorer) -> AnnotationsView:
    """See `AnnotationsView`."""
    index = explorer.index
    journal, stored = journal_of(explorer), stored_of(explorer)
    batches = tuple(_batch_view(journal, batch_of(explorer, name), stored) for name in batch_names(index))
    stored = stored_of(explorer)  # the journal may have written what a process that died could not
    agreement, summary, whys = None, None, ["", ""]
    try:
        agreement = measure_agreement(stored)
    except InputError:
        whys[0] = "No cell has been annotated by two people yet: let a second one open the same batch."
    try:
        summary = summarize(index, stored)
    except InputError:
        whys[1] = "Nothing has been annotated yet: draw a batch, and annotate its cells here."
    return AnnotationsView(batches, agreement, whys[0], summary, whys[1], labels_by_layer(explorer))


def work_view(explorer: Explorer, batch: str, annotator: str, number: int) -> WorkView:
    """See `WorkView`.

    Raises:
        InputError: no such batch or cell, or no name of an annotator.
    """
    index = explorer.index
    found = batch_of(explorer, batch, number)
    check_name(annotator, "annotator")
    now = journal_of(explorer).current(found, annotator)
    shown = found.cells[number - 1]
    blank = Saved(0, Draft(marks=((),) * len(shown.triggers)), False)
    settles = annotator == ADJUDICATED
    to_settle = _to_settle(found, stored_of(explorer)) if settles else {}
    rows = to_settle.get(number, [])
    told = {row["number"]: row["said"] for row in rows if row["row"] == "trigger"}
    saved = now.get(number, blank)
    if rows and saved.draft.empty and not saved.can_redo:
        saved = replace(saved, draft=_proposed(rows, blank.draft))
    triggers = tuple(
        ShownPrefix(*_prefix(index, one.sentence_id, one.position), told.get(str(i), ""))
        for i, one in enumerate(shown.triggers, 1)
    )
    numbers = tuple(to_settle) if settles else tuple(range(1, len(found.cells) + 1))
    return WorkView(
        batch=batch,
        annotator=annotator,
        number=number,
        n_cells=len(numbers),
        saved=saved,
        triggers=triggers,
        invalid=invalid_of(found, number, saved.draft),
        done=tuple(sorted(one for one, its in now.items() if its.draft.done)),
        numbers=numbers,
        said=tuple(row["said"] for row in rows if row["row"] == "pattern" and row["said"]),
        index=index_id(index),
    )


def first_undone(explorer: Explorer, batch: str, annotator: str) -> int:
    """Where an annotator goes on."""
    found = batch_of(explorer, batch)
    check_name(annotator, "annotator")
    if annotator == ADJUDICATED:
        numbers = tuple(_to_settle(found, stored_of(explorer))) or (1,)
        done = {n for n, one in journal_of(explorer).current(found, annotator).items() if one.draft.done}
        return next((one for one in numbers if one not in done), numbers[0])
    return _progress(journal_of(explorer), found, annotator).next


def invalid_of(batch: Batch, number: int, draft: Draft) -> tuple[int, ...]:
    """Patterns of a draft that triggers of fewer than three different sentences carry."""
    triggers = batch.cells[number - 1].triggers
    carriers = {
        pattern: {one.sentence for one, marks in zip(triggers, draft.marks, strict=True) if pattern in marks}
        for pattern in range(1, len(draft.patterns) + 1)
    }
    return tuple(pattern for pattern, sentences in carriers.items() if len(sentences) < MIN_TRIGGERS)


def _batch_view(journal: Journal, batch: Batch, stored: Sequence[CellAnnotation]) -> BatchView:
    names = [name for name in journal.annotators(batch.name) if name != ADJUDICATED]
    differ = set(_to_settle(batch, stored))
    settled = {number for number, one in journal.current(batch, ADJUDICATED).items() if one.draft.done}
    progress = tuple(_progress(journal, batch, name) for name in names)
    return BatchView(batch.name, len(batch.cells), progress, len(differ), len(differ & settled))


def _progress(journal: Journal, batch: Batch, annotator: str) -> Progress:
    now = journal.current(batch, annotator)
    done = {number for number, one in now.items() if one.draft.done}
    begun = {number for number, one in now.items() if not one.draft.empty} - done
    first = next((number for number in range(1, len(batch.cells) + 1) if number not in done), 1)
    return Progress(annotator, len(done), len(begun), len(batch.cells), first)


def _to_settle(batch: Batch, stored: Sequence[CellAnnotation]) -> dict[int, list[dict[str, str]]]:
    """Rows of the cells that annotators differ on, by their numbers."""
    found: dict[int, list[dict[str, str]]] = {}
    for row in adjudication_rows(batch, stored):
        found.setdefault(int(row["cell"]), []).append(dict(row))
    return found


def _proposed(rows: list[dict[str, str]], blank: Draft) -> Draft:
    """What annotators agree on, to begin with."""
    patterns = tuple((row["text"], row["class"]) for row in rows if row["row"] == "pattern")
    marks = tuple(
        tuple(sorted(int(one) for one in row["patterns"].split() if one != "0"))
        for row in rows
        if row["row"] == "trigger"
    )
    return Draft(patterns, marks or blank.marks)


def _prefix(index: Index, sentence_id: int, position: int) -> tuple[str, str]:
    row = index.text.sentence(sentence_id)
    before, firing, _ = mark(row.text, (int(row.token_starts[position]), int(row.token_ends[position])), "", "")
    return before, firing


def journal_of(explorer: Explorer) -> Journal:
    """Where what is said in this explorer is kept."""
    return Journal(explorer.index, read_only=explorer.read_only)


def check_writable(explorer: Explorer) -> None:
    """See `Explorer.check_writable`."""
    explorer.check_writable()
