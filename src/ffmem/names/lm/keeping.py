"""Keeps the labels of a run with what they rest on: once, however often the run was begun."""

import hashlib
import json
from collections.abc import Sequence

from ffmem.json_values import JsonObject
from ffmem.names.lm.known import Unit
from ffmem.names.lm.labelling import Judged, Named, Outcome
from ffmem.names.lm.report import CELLS, LabelReport, UnitLabel
from ffmem.store.label_rows import NewLabel, Score
from ffmem.store.labels import Labels


def keep(labels: Labels, outcome: Outcome, report: LabelReport, about: JsonObject) -> int:
    """Keep the labels of a run, with their scores, and what is told of it.

    A run that was begun before keeps its number, and what it has kept already is not kept again.

    Args:
        labels: beside the index.
        outcome: what came of the run.
        report: the same with its controls.
        about: what decides the run, and what it used; ``decided_by`` tells it from every other.

    Returns:
        The number of the run.
    """
    number = _number(labels, about)
    said = {(one.cell, one.sign): one for one in report.units}
    judged = {one.task.unit: one for one in outcome.judged if one.task.group == CELLS}
    new: list[NewLabel] = []
    scores: list[list[Score]] = []
    for named in outcome.named:
        unit = named.task.unit
        of_unit = judged.get(unit)
        unjudged = of_unit is None and any(one.kind != "unclear" for one in named.answers)
        if named.task.fake is not None or (report.stopped and unjudged):
            continue  # what is not judged yet shall not take the place of what was
        label = _label(named, said[str(unit.cell), unit.sign], of_unit, number, report)
        before = _kept(labels, unit, label)
        if before is None:
            new.append(label)
            scores.append(_scores(of_unit, report.judge) if of_unit else [])
        elif before[1] != label.evidence:
            labels.set_evidence(before[0], label.evidence or {})
    if new:
        labels.add(new, scores)
    labels.finish_run(number, {**about, "finished": not report.stopped, "report": _short(report)})
    return number


def decided_by(parts: JsonObject, units: Sequence[Unit]) -> str:
    """What tells a run from every other: all that decides its outcome."""
    text = json.dumps([parts, [[str(one.cell), one.sign] for one in units]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _number(labels: Labels, about: JsonObject) -> int:
    for number, told in reversed(labels.runs().items()):
        if told.get("decided_by") == about["decided_by"]:
            return number
    return labels.add_run(about)


def _kept(labels: Labels, unit: Unit, label: NewLabel) -> tuple[int, JsonObject] | None:
    """The same label of the same run, if it is kept already."""
    for one in labels.labels_of(unit.cell, unit.sign):
        if (one.source, one.author, one.run, one.text) == (label.source, label.author, label.run, label.text):
            return one.id, dict(one.evidence or {})
    return None


def _label(named: Named, said: UnitLabel, judged: Judged | None, run: int, report: LabelReport) -> NewLabel:
    answer = named.answers[judged.chosen if judged else 0]
    evidence: JsonObject = {
        "not": answer.but_not,
        "passes": said.passes,
        "beats_rule": said.beats_rule,
        "hard": said.hard,
        "above": said.above,
        "rule_hard": said.rule_hard,
        "trusted": report.trusted,
        "judge": report.judge,
        "repaired": answer.repaired,
        "shown": list(named.shown),
        "hard_kinds": dict(judged.kinds) if judged else {},
    }
    return NewLabel(
        cell=named.task.unit.cell,
        sign=named.task.unit.sign,
        source="lm",
        text=answer.label,
        kind=answer.kind,
        evidence=evidence,
        author=report.labeller,
        run=run,
    )


def _scores(judged: Judged, judge: str) -> list[Score]:
    return [
        Score(one.measure, one.value, one.low, one.high, one.n, one.n_failed, judge, "judging half")
        for one in judged.scores.values()
    ]


def _short(report: LabelReport) -> JsonObject:
    """The report without the labels, which have rows of their own."""
    return {name: value for name, value in report.to_json().items() if name != "units"}
