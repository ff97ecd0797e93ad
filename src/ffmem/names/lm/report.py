"""What came of a run: real names, fakes and decoys side by side, and whether the labels can be trusted."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import NOTHING, Estimate
from ffmem.json_values import JsonObject, Record
from ffmem.names.lm.controls import DECOYS, FAKES, LEAST_HARD, MOST_DECEIVED, limits, passes
from ffmem.names.lm.known import Unit
from ffmem.names.lm.labelling import Judged, Outcome
from ffmem.names.lm.scores import UnitScore, mean_score, share
from ffmem.store.reader import Index

CELLS = "cells"
_MEASURES = (
    "detection", "detection_auc", "detection_hard", "detection_hard_auc", "fuzzing", "simulation", "simulation_random",
    "intruder",
)  # fmt: skip


@dataclass(frozen=True)
class UnitLabel(Record):
    """What a unit is called by the labeller, and how that held."""

    cell: str
    sign: int
    label: str
    kind: str
    but_not: str
    hard: float | None
    """Balanced accuracy on firing and hard items; None if it was not judged."""
    above: float
    """What that must be above: see `controls.limits`."""
    passes: bool
    rule_hard: float | None
    """The same of the name by rule; None if there is none."""
    beats_rule: bool
    """It is better than the name by rule on the same items, or there is none."""


@dataclass(frozen=True)
class GroupRow(Record):
    """The cells, one kind of fakes or one kind of decoys."""

    group: str
    n: int
    """Of all that were asked about, with those of which nothing came."""
    n_unclear: int
    n_failed: int
    passed: Estimate
    """The share of all n whose name passes."""
    detection: Estimate
    """Mean balanced accuracy, with random positions; of decoys there is none."""
    detection_hard: Estimate
    """The same with hard ones."""


@dataclass(frozen=True)
class LayerRow(Record):
    """The cells of one layer."""

    layer: str
    n: int
    n_fakes: int
    above: float
    """What the accuracy on hard items must be above here."""
    passed: Estimate
    detection_hard: Estimate


@dataclass(frozen=True)
class LabelReport(Record):
    """What came of a run."""

    index: str
    labeller: str
    judge: str
    seed: int
    with_model: bool
    units: tuple[UnitLabel, ...]
    groups: tuple[GroupRow, ...]
    layers: tuple[LayerRow, ...]
    measures: dict[str, Estimate]
    """Of the cells, by measure."""
    beats_rule: Estimate
    """Of the cells with a name by rule, the share whose label is better on the same items."""
    hard_kinds: dict[str, int]
    """What makes the hard items of cells hard."""
    n_failed_replies: int
    """Judge's answers that were none, and count as wrong."""
    failures: dict[str, int]
    """Why nothing came of a unit, and of how many."""
    control_share: float
    """Of all calls that were asked about."""
    stopped: str
    """Why the run ended before its end; empty if it did not."""

    @property
    def fakes(self) -> GroupRow:
        """All fakes together."""
        return next(one for one in self.groups if one.group == "fakes")

    @property
    def trusted(self) -> bool:
        """Whether at most `MOST_DECEIVED` of the fakes passed; without any, nothing can be trusted."""
        return self.fakes.n > 0 and self.fakes.passed.value <= MOST_DECEIVED

    def sentences(self) -> list[str]:
        """What must be said of the run."""
        fakes, told = self.fakes, []
        if not self.trusted:
            passed = round(fakes.passed.value * fakes.n) if fakes.n else 0
            told.append(
                f"{passed} of {fakes.n} fake cells passed (more than {MOST_DECEIVED:.0%}): the labels of this run are not to "
                "be trusted."
                if fakes.n
                else "No fake cell was judged: the labels of this run are not to be trusted."
            )
        if self.labeller == self.judge:
            told.append(f"Labeller and judge are one model ({self.judge}), which may agree with itself.")
        if not self.with_model:
            told.append(
                "Without the index's model: no scores by fuzzing and simulation, no fakes by own last tokens or random "
                "directions, and hard negatives from the sample alone."
            )
        if self.n_failed_replies:
            told.append(f"{self.n_failed_replies:,} answers of the judge were none, and count as wrong.")
        if self.stopped:
            told.append(f"The run ended early: {self.stopped}")
        return told

    def to_json(self) -> JsonObject:
        """With what must be said of it."""
        return {**super().to_json(), "trusted": self.trusted, "sentences": self.sentences()}


def report_of(index: Index, outcome: Outcome, *, labeller: str, judge: str, seed: int, with_model: bool) -> LabelReport:
    """What came of a run, with its controls."""
    place = {unit: index.cells.place(unit.cell)[0] for unit in _units(outcome)}
    fakes = [
        (one, place[one.task.unit], one.hard or 0.0)
        for one in outcome.judged
        if one.task.decoy is None and one.task.task.fake is not None
    ]
    all_fakes = [(layer, hard) for _, layer, hard in fakes]
    above = limits(sorted(set(place.values())), all_fakes)
    # A fake is held to the others: among as many as they are, it would else never be above their largest
    alone = {
        id(one): limits([layer], [*all_fakes[:i], *all_fakes[i + 1 :]])[layer]
        for i, (one, layer, _) in enumerate(fakes)
    }

    def held(one: Judged) -> bool:
        return passes(one.hard, alone.get(id(one), above[place[one.task.unit]]))

    units = tuple(_unit_labels(outcome, above, place))
    cells = [one for one in outcome.judged if one.task.group == CELLS]
    n_controls = sum(one.n_calls for one in outcome.judged if one.task.group != CELLS)
    n_controls += sum(one.n_calls for one in outcome.named if one.task.fake is not None)
    n_calls = sum(one.n_calls for one in outcome.judged) + sum(one.n_calls for one in outcome.named)
    return LabelReport(
        index=str(index.folder),
        labeller=labeller,
        judge=judge,
        seed=seed,
        with_model=with_model,
        units=units,
        groups=tuple(_groups(outcome, held, seed)),
        layers=tuple(_layers(index, outcome, units, place, above, seed)),
        measures={
            measure: mean_score([one.scores[measure] for one in cells if measure in one.scores], seed)
            for measure in _MEASURES
            if any(measure in one.scores for one in cells)
        },
        beats_rule=share([one.beats_rule for one in units if one.rule_hard is not None and one.hard is not None]),
        hard_kinds=dict(sum((Counter(one.kinds) for one in cells), Counter())),
        n_failed_replies=sum(_n_failed(one.scores.values()) for one in outcome.judged),
        failures=dict(Counter(reason for _, _, reason in outcome.failed)),
        control_share=n_controls / n_calls if n_calls else 0.0,
        stopped=outcome.stopped,
    )


def _n_failed(scores: Iterable[UnitScore]) -> int:
    counted = {"detection", "detection_hard", "fuzzing", "simulation", "intruder"}
    return sum(one.n_failed for one in scores if one.measure in counted)


def _units(outcome: Outcome) -> set[Unit]:
    named = {one.task.unit for one in outcome.named} | {one.task.unit for one in outcome.judged}
    return named | {unit for _, unit, _ in outcome.failed}


def _unit_labels(outcome: Outcome, above: dict[int, float], place: dict[Unit, int]) -> list[UnitLabel]:
    judged = {one.task.unit: one for one in outcome.judged if one.task.group == CELLS}
    found = []
    for named in outcome.named:
        if named.task.fake is not None:
            continue
        unit = named.task.unit
        one = judged.get(unit)
        answer = named.answers[one.chosen if one else 0]
        hard = one.hard if one else None
        rule = one.rule_hard if one else None
        found.append(
            UnitLabel(
                cell=str(unit.cell),
                sign=unit.sign,
                label=answer.label,
                kind=answer.kind,
                but_not=answer.but_not,
                hard=hard,
                above=max(LEAST_HARD, above[place[unit]]),
                passes=passes(hard, above[place[unit]]),
                rule_hard=rule,
                beats_rule=hard is not None and (rule is None or hard > rule),
            )
        )
    return sorted(found, key=lambda one: (one.cell, -one.sign))


def _groups(outcome: Outcome, held: Callable[[Judged], bool], seed: int) -> list[GroupRow]:
    judged: dict[str, list[Judged]] = {}
    for one in outcome.judged:
        judged.setdefault(one.task.group, []).append(one)
    unclear = Counter(one.task.group for one in outcome.named if all(a.kind == "unclear" for a in one.answers))
    failed = Counter(group for group, _, _ in outcome.failed)
    names = [CELLS, *(f"fake: {one}" for one in FAKES), *(f"decoy: {one}" for one in DECOYS)]
    rows = [("cells", [CELLS]), ("fakes", names[1 : 1 + len(FAKES)]), *((one, [one]) for one in names[1:])]
    found = []
    for name, groups in rows:
        some = [one for group in groups for one in judged.get(group, [])]
        n_unclear, n_failed = (sum(of[group] for group in groups) for of in (unclear, failed))
        if not some and not n_unclear and not n_failed and name != "fakes":
            continue
        hits = [held(one) for one in some] + [False] * n_unclear
        hits += [False] * (n_failed if name == CELLS else 0)
        found.append(
            GroupRow(
                group=name,
                n=len(hits),
                n_unclear=n_unclear,
                n_failed=n_failed,
                passed=share(hits),
                detection=_mean(some, "detection", seed),
                detection_hard=_mean(some, "detection_hard", seed),
            )
        )
    return found


def _mean(judged: Sequence[Judged], measure: str, seed: int) -> Estimate:
    scores = [one.scores[measure] for one in judged if measure in one.scores]
    return mean_score(scores, seed) if scores else NOTHING


def _layers(
    index: Index,
    outcome: Outcome,
    units: Sequence[UnitLabel],
    place: dict[Unit, int],
    above: dict[int, float],
    seed: int,
) -> list[LayerRow]:
    of_unit = {(one.cell, one.sign): one for one in units}
    found = []
    for layer in sorted(above):
        here = [unit for unit, of in place.items() if of == layer]
        labels = [of_unit[str(unit.cell), unit.sign] for unit in here if (str(unit.cell), unit.sign) in of_unit]
        judged = [one for one in outcome.judged if place[one.task.unit] == layer]
        found.append(
            LayerRow(
                layer=index.cells.layers[layer].name,
                n=len(labels),
                n_fakes=sum(one.task.decoy is None and one.task.task.fake is not None for one in judged),
                above=float(np.maximum(above[layer], LEAST_HARD)),
                passed=share([one.passes for one in labels]),
                detection_hard=_mean([one for one in judged if one.task.group == CELLS], "detection_hard", seed),
            )
        )
    return found
