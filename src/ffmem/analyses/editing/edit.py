"""An edit as a whole: made, measured at its facts and over everything else, and put back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ffmem.analyses.editing.asking import first_answers
from ffmem.analyses.editing.effects import KINDS, Answers, Kind, changed_by_prefix, questions
from ffmem.analyses.editing.facts import Fact
from ffmem.analyses.editing.methods import Edit, Workshop, make_edit
from ffmem.analyses.editing.moments import Moments, kept_moments
from ffmem.analyses.editing.options import EditOptions
from ffmem.analyses.editing.outputs import check_answers
from ffmem.analyses.editing.side_effects import Bystanders, CellEffects, MovedCells, TextEffects, moved_cells
from ffmem.analyses.editing.text import windows
from ffmem.analyses.intervals import Estimate, mean
from ffmem.corpus.documents import Document
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, Record
from ffmem.models.patches.changes import changed_values
from ffmem.models.transformer import Transformer

OnProgress = Callable[[str], None]


@dataclass(frozen=True)
class Effect:
    """How often prompts of one kind are as they should be, before and after; intervals by drawing facts."""

    kind: Kind
    n: int
    before: Estimate
    after: Estimate
    prefix: Estimate
    """The model as it is, told the new answer before the prompt."""
    magnitude: Estimate
    """After the edit, P of what should be more probable less P of the other."""


@dataclass(frozen=True)
class FactEffect:
    """What became of one fact at its own prompt."""

    prompt: str
    old: str
    new: str
    old_before: float
    old_after: float
    new_before: float
    new_after: float


@dataclass(frozen=True)
class SideEffects:
    """What else changed."""

    moved: MovedCells
    n_positions: int
    n_documents: int
    divergence: Estimate
    """KL(own || changed) at a position of held-out text, in nats."""
    loss: Estimate
    """-ln p of the token that follows, changed less own, in nats."""
    other_top: Estimate
    """Share of positions with another most probable token."""
    rate: float
    """Mean over all cells of |change of the share of positions at which it is active|."""
    n_changed: int
    """Cells that are active at more positions, or fewer."""
    overlap: float
    """Mean share of a cell's ten strongest positions that stay among them, over the cells above the first changed layer that
    have any: a coefficient of 0 is no strongest one."""


@dataclass(frozen=True)
class EditReport(Record):
    """An edit with its effects and side effects."""

    model: str
    method: str
    layers: tuple[str, ...]
    n_facts: int
    effects: tuple[Effect, ...]
    score: float
    """Harmonic mean of the shares after; NaN where no fact is asked."""
    facts: tuple[FactEffect, ...]
    side: SideEffects | None
    cells: tuple[str, ...]
    """Those whose values were chosen one by one."""


@dataclass(frozen=True)
class Made:
    """An edit, and what came of it."""

    edit: Edit
    facts: tuple[Fact, ...]
    """With their old answers."""
    report: EditReport

    @property
    def asked_for(self) -> list[JsonObject]:
        """What a patch says of it."""
        return [{"prompt": one.prompt, "subject": one.subject, "old": one.old, "new": one.new} for one in self.facts]


def with_old_answers(model: Transformer, facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Facts of which each has an old answer: what the model says as it is, where none is given.

    Raises:
        InputError: a new answer is what the model says already.
    """
    open_ones = [fact.prompt for fact in facts if not fact.old]
    told = iter(first_answers(model, open_ones))
    return tuple(fact if fact.old else replace(fact, old=next(told)) for fact in facts)


def workshop_of(
    model: Transformer,
    documents: Iterable[Document],
    options: EditOptions,
    folder: Path | None = None,
    progress: OnProgress = lambda _: None,
) -> Workshop:
    """What edits of a model are made with.

    Args:
        model: as it is.
        documents: a corpus; the even documents are read.
        options: see there.
        folder: where moments are kept; None: nowhere.
        progress: told what is done.

    Raises:
        InputError: there is no text.
    """
    if options.method == "cell":
        return Workshop(model, options, (), lambda _: {})
    text = windows(model, documents, "own", n_tokens=options.tokens, length=options.length)
    openings = tuple(
        f"{model.tokenizer.decode(one.ids[one.first : one.first + options.context_tokens]).strip()}. "
        for one in text[: options.contexts]
    )

    def hear(done: int) -> None:
        if done % 50 == 0:
            progress(f"moments: {done} of {len(text)} stretches of text")

    def hear_step(step: int) -> None:
        if step % 10 == 0:
            progress(f"step {step} of {options.steps}")

    def moments(places: Sequence[int]) -> Mapping[int, Moments]:
        return kept_moments(folder, model, text, places, hear)

    return Workshop(model, options, openings, moments, hear_step)


def edit(
    model: Transformer,
    facts: Sequence[Fact],
    documents: Iterable[Document],
    options: EditOptions = EditOptions(),  # noqa: B008 (frozen)
    *,
    side_tokens: int = 1_000,
    folder: Path | None = None,
    progress: OnProgress = lambda _: None,
) -> Made:
    """Make an edit, and measure it; the model is as before afterwards.

    Args:
        model: of plain weights, with a head.
        facts: what to change; none for a value that is set by hand.
        documents: a corpus, read several times: the even documents for the edit, the odd ones to hold it against.
        options: how.
        side_tokens: tokens of held-out text; 0: what else changes is not measured.
        folder: where moments are kept.
        progress: told what is done.

    Raises:
        InputError: the model cannot be edited so, a fact cannot be asked of it, or there is no text.

    Cost: for each fact steps x (contexts + 1) passes of its prompt and back; two passes of the held-out text.
    """
    if not facts and options.method != "cell":
        raise InputError(
            f"no fact is given for the method {options.method}",
            "Expected a prompt and its new answer, or a file of facts",
            'Write: ffmem edit MODEL "PROMPT" "ANSWER" --out one.patch',
        )
    check_answers(model)
    facts = with_old_answers(model, facts)
    side = None
    if side_tokens:
        progress("reading held-out text")
        side = Bystanders(model, windows(model, documents, "held-out", n_tokens=side_tokens, length=options.length))
    asked = questions(model, facts)
    before = asked.answered(model)
    prefix = changed_by_prefix(model, facts)
    found = make_edit(workshop_of(model, documents, options, folder, progress), facts)
    moved = moved_cells(model, found.changes)
    progress("measuring")
    with changed_values(model, found.changes):
        after = asked.answered(model)
        beside = None if side is None else side.after()
    first = min(found.changes, default=0)
    report = EditReport(
        model=model.facts.name,
        method=options.method,
        layers=tuple(model.cells.layers[place].name for place in sorted(found.changes)),
        n_facts=len(facts),
        effects=tuple(effects_of(before, after, prefix)),
        score=after.score,
        facts=tuple(_fact_effects(facts, before, after)),
        side=None if beside is None else side_effects_of(moved, *beside, first=first),
        cells=found.cells,
    )
    return Made(found, facts, report)


def effects_of(before: Answers, after: Answers, prefix: Answers) -> Iterable[Effect]:
    """The table of effects, a row for each kind of prompt that is asked."""
    for kind in KINDS:
        some = before.of(kind)
        if some.any():
            groups = before.fact[some]
            own, now, told = (mean(one.holds[some], groups) for one in (before, after, prefix))
            yield Effect(kind, int(some.sum()), own, now, told, mean(after.magnitude[some], groups, signed=True))


def _fact_effects(facts: Sequence[Fact], before: Answers, after: Answers) -> Iterable[FactEffect]:
    own = np.flatnonzero(before.of("prompt"))
    for fact, row in zip(facts, own, strict=True):
        p = [float(np.exp(one[row])) for one in (before.old, after.old, before.new, after.new)]
        yield FactEffect(fact.prompt, fact.old, fact.new, *p)


def side_effects_of(moved: MovedCells, text: TextEffects, cells: CellEffects, *, first: int) -> SideEffects:
    """The numbers of what else changed.

    Args:
        moved: values.
        text: held-out text.
        cells: what they do on it.
        first: the place of the first changed layer: that one's cells and those below are as they were.
    """
    return SideEffects(
        moved=moved,
        n_positions=len(text.document),
        n_documents=len(np.unique(text.document)),
        divergence=mean(text.divergence, text.document),
        loss=mean(text.loss[~np.isnan(text.loss)], text.document[~np.isnan(text.loss)], signed=True),
        other_top=mean(text.other_top, text.document),
        rate=float((cells.rate * cells.n_cells).sum() / cells.n_cells.sum()),
        n_changed=int(cells.changed.sum()),
        overlap=cells.mean_overlap(first + 1),
    )
