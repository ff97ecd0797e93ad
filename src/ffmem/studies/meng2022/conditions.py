"""The ways in which facts are changed here, and what each comes to: every fact by itself, kept fact by fact."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ffmem.analyses.editing.effects import KINDS, Answers, changed_by_prefix, harmonic, questions
from ffmem.analyses.editing.facts import Fact
from ffmem.analyses.editing.methods import make_edit, place_of
from ffmem.analyses.editing.options import Method
from ffmem.analyses.editing.side_effects import moved_cells
from ffmem.analyses.intervals import Estimate, Sums, mean, mean_ratio
from ffmem.analyses.resampling import jackknifed
from ffmem.models.patches.changes import Added, Change, changed_values
from ffmem.models.transformer import Transformer
from ffmem.studies.checkpoint import Checkpoint
from ffmem.studies.meng2022.context import Meng2022
from ffmem.studies.study import Stage, StageListener

Way = Literal["none", "prefix", "rome", "random cells", "tune", "memit, at once", "knowledge"]
PREFIX = "edits-"
"""What the names of the experiments begin with."""
_SIDE = ("touched", "moved", "norm", "rate", "overlap")


@dataclass(frozen=True)
class Condition:
    """A way to change facts, at a layer."""

    way: Way
    place: int | None = None

    @property
    def name(self) -> str:
        """Of its experiment."""
        layer = "" if self.place is None else f"-L{self.place}"
        return f"{PREFIX}{self.way.replace(',', '').replace(' ', '-')}{layer}"


@dataclass(frozen=True)
class ConditionResult:
    """What one way of changing facts comes to; fact by fact it lies beside as arrays."""

    way: Way
    layer: str
    """Its name; "" where there is none."""
    place: int
    """-1 where there is none."""
    n_facts: int
    efficacy: Estimate
    paraphrase: Estimate
    neighbourhood: Estimate
    score: Estimate
    """Harmonic mean of the three; its interval by leaving out a fact at a time."""
    magnitude: Estimate
    """P(new) less P(old) at the prompt."""
    divergence: Estimate
    """KL(own || changed) at a position of held-out text, in nats; over documents."""
    loss: Estimate
    other_top: Estimate
    touched: float
    """Mean over edits of the number of cells that the change lies in."""
    moved: float
    """Mean number of cells whose value is another."""
    norm: float
    """Mean length of the change, as a share of that of the values of the changed layers."""
    rate: float
    """Mean over all cells of |change of the share of positions at which it is active|."""
    overlap: float
    """Mean share of a cell's ten strongest positions that stay, over all cells."""


def main_place(model: Transformer) -> int:
    """The layer that ways are compared at: a third of the way up."""
    return place_of(model, None)


def swept_places(model: Transformer, n: int) -> list[int]:
    """Layers from the lowest to the last but one, and the main one; the last has nothing behind it that could read an edit."""
    highest = max(model.facts.n_layers - 2, 0)
    return sorted({*np.linspace(0, highest, n).round().astype(int).tolist(), main_place(model)})


def conditions(study: Meng2022) -> Iterator[Condition]:
    """All of them, those that others are held against first."""
    main = main_place(study.model)
    yield Condition("none")
    yield Condition("prefix")
    ways: tuple[Way, ...] = ("rome", "tune", "random cells", "memit, at once")
    for way in ways:
        yield Condition(way, main)
    others = [place for place in swept_places(study.model, study.options.layers) if place != main]
    for place in reversed(others):
        yield Condition("rome", place)
        yield Condition("tune", place)
    if study.options.knowledge_facts:
        yield Condition("knowledge")


def run(study: Meng2022, condition: Condition, listen: StageListener) -> ConditionResult:
    """Change each fact by itself, in one way, and measure what comes of it."""
    facts = study.edited
    if condition.way == "knowledge":
        facts = facts[: study.options.knowledge_facts]
    groups = [facts] if condition.way == "memit, at once" else [(fact,) for fact in facts]
    checkpoint = Checkpoint(study.results, condition.name)
    parts = _parts(checkpoint.load())
    for number, some in enumerate(groups):
        listen(Stage(condition.name, number, len(groups)))
        if number < len(parts):
            continue
        parts.append(_one(study, condition, some, number))
        checkpoint.keep(lambda: _joined(parts))
    arrays = _joined(parts)
    study.results.save_arrays(condition.name, arrays)
    return _result(study, condition, arrays, len(facts))


def _one(study: Meng2022, condition: Condition, facts: Sequence[Fact], number: int) -> dict[str, np.ndarray]:
    """The rows of one edit: its prompts, the documents of held-out text, and its numbers over all cells."""
    asked, beside = questions(study.model, facts), study.bystanders  # both of the model as it is
    changes = _changes(study, condition, facts, number)
    moved = moved_cells(study.model, changes)
    with changed_values(study.model, changes):
        answers = changed_by_prefix(study.model, facts) if condition.way == "prefix" else asked.answered(study.model)
        text, cells = beside.after() if changes else (None, None)
    documents = np.unique([one.document for one in beside.text])
    sums = np.zeros((len(documents), 6))
    if text is not None:
        for row, document in enumerate(documents):
            some = text.document == document
            for column, values in enumerate((text.divergence, text.loss, text.other_top)):
                own = values[some][~np.isnan(values[some])]
                sums[row, 2 * column : 2 * column + 2] = own.sum(), len(own)
    else:
        sums[:, 1::2] = 1.0
    rate, overlap = (
        (0.0, 1.0) if cells is None else (float(np.average(cells.rate, weights=cells.n_cells)), cells.mean_overlap())
    )
    return {
        "fact": answers.fact + number,
        "kind": answers.kind,
        "new": answers.new,
        "old": answers.old,
        "text": sums[None],
        "side": np.array([[moved.touched, moved.n_moved, moved.norm, rate, overlap]]),
    }


def _changes(study: Meng2022, condition: Condition, facts: Sequence[Fact], number: int) -> Mapping[int, Change]:
    if condition.way in ("none", "prefix"):
        return {}
    method = _METHODS[condition.way]
    key = (method, condition.place, tuple(facts))
    if key not in study.edits:
        study.edits[key] = make_edit(study.workshop(method, condition.place), facts).changes
    own = study.edits[key]
    if condition.way == "random cells":
        return {place: _elsewhere(one, study.options.seed + number) for place, one in own.items()}
    return own


_METHODS: dict[Way, Method] = {
    "rome": "rome",
    "random cells": "rome",
    "tune": "tune",
    "memit, at once": "memit",
    "knowledge": "knowledge",
}


def _elsewhere(change: Change, seed: int) -> Change:
    """The same moves of other cells of the layer."""
    assert isinstance(change, Added)
    order = torch.from_numpy(np.random.default_rng([seed, 8]).permutation(len(change.left)))
    return Added(change.left[order], change.right)


def _parts(arrays: dict[str, np.ndarray] | None) -> list[dict[str, np.ndarray]]:
    """What a stopped run kept, edit by edit."""
    if arrays is None:
        return []
    ends = np.cumsum(arrays["rows"])
    rows = np.split(np.arange(ends[-1]), ends[:-1])
    return [
        {name: arrays[name][own] for name in ("fact", "kind", "new", "old")}
        | {name: arrays[name][number : number + 1] for name in ("text", "side")}
        for number, own in enumerate(rows)
    ]


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return joined | {"rows": np.array([len(part["fact"]) for part in parts])}


def answers_of(arrays: Mapping[str, np.ndarray]) -> Answers:
    """The answers that arrays of a condition hold."""
    return Answers(*(np.array(arrays[name]) for name in ("fact", "kind", "new", "old")))


def scores_of(answers: Answers) -> Estimate:
    """The harmonic mean, with an interval by leaving out a fact at a time."""
    numbers = np.unique(answers.fact)

    def without(left_out: int | None) -> float:
        some = answers.fact != left_out if left_out is not None else np.full(len(answers.fact), True)
        rates = [answers.holds[some & answers.of(kind)] for kind in KINDS]
        return harmonic(float(one.mean()) if len(one) else float("nan") for one in rates)

    found = jackknifed(without(None), [without(int(one)) for one in numbers], len(numbers))
    low, high = found.interval()
    return Estimate(found.value, max(0.0, low), min(1.0, high), len(numbers))


def _result(study: Meng2022, condition: Condition, arrays: Mapping[str, np.ndarray], n_facts: int) -> ConditionResult:
    answers = answers_of(arrays)
    efficacy, paraphrase, neighbourhood = (
        mean(answers.holds[answers.of(kind)], answers.fact[answers.of(kind)]) for kind in KINDS
    )
    own = answers.of("prompt")
    text = arrays["text"].mean(0)  # over edits
    divergence, loss, other_top = (mean_of(text[:, 2 * one], text[:, 2 * one + 1]) for one in range(3))
    place = condition.place
    return ConditionResult(
        way=condition.way,
        layer="" if place is None else study.model.cells.layers[place].name,
        place=-1 if place is None else place,
        n_facts=n_facts,
        efficacy=efficacy,
        paraphrase=paraphrase,
        neighbourhood=neighbourhood,
        score=scores_of(answers),
        magnitude=mean(answers.magnitude[own], answers.fact[own], signed=True),
        divergence=divergence,
        loss=loss,
        other_top=other_top,
        **dict(zip(_SIDE, arrays["side"].mean(0).tolist(), strict=True)),
    )


def mean_of(above: np.ndarray, below: np.ndarray) -> Estimate:
    """The ratio of two sums over documents."""
    return mean_ratio(Sums(above[:, None], below[:, None])).estimate
