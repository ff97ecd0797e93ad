import numpy as np
import pytest

from ffmem import Index
from ffmem.ids import CellId, CellSpace, LayerCells
from ffmem.names.lm.controls import Task
from ffmem.names.lm.judge import Judgement, Verdicts
from ffmem.names.lm.known import Unit
from ffmem.names.lm.labelling import Judged, JudgeTask, Named, Outcome
from ffmem.names.lm.prompts import LabelAnswer
from ffmem.names.lm.report import report_of
from ffmem.names.lm.scores import unit_scores


class TwoLayers:
    """What a report asks of an index."""

    folder = "runs/made"
    cells = CellSpace([LayerCells(0, 50), LayerCells(1, 50)])


INDEX: Index = TwoLayers()  # type: ignore[assignment]
NOTHING = Verdicts(np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0, dtype=bool), (), ())


def judged(task: JudgeTask, hard: float, rule: float | None = None, n_failed: int = 0) -> Judged:
    """Ten firing items that are right, ten hard ones of which as many as make this balanced accuracy."""
    n_right = round(10 * (2 * hard - 1))
    p = np.array([1.0] * 10 + [0.0] * n_right + [1.0] * (10 - n_right))
    failed = np.arange(20) >= 20 - n_failed
    of = Verdicts(np.arange(20) < 10, p, failed, ("firing",) * 10 + ("hard",) * 10, tuple(range(20)))
    return Judged(task, 0, unit_scores(Judgement(of, NOTHING, NOTHING, (), ()), 0), rule, {"silent": 10}, 20)


def named(task: Task, kind: str = "token") -> Named:
    return Named(task, (LabelAnswer(f"name of {task.unit}", kind, ""),), (1, 2), 1)  # type: ignore[arg-type]


def outcome() -> Outcome:
    """20 cells of a layer: 10 pass, 5 are near, 3 are unclear, 2 fail; 20 fakes from 0.50 to 0.69, and a decoy that passes."""
    found = Outcome()
    for i in range(20):
        task = Task(Unit(CellId(0, i)))
        if i >= 18:
            found.failed.append((task.group, task.unit, "away"))
            continue
        found.named.append(named(task, "unclear" if i >= 15 else "token"))
        if i < 15:
            at = 0.8 if i < 10 else 0.65
            found.judged.append(
                judged(JudgeTask(task.unit, ("x",), task), at, 0.7 if i < 4 else 0.9 if i < 6 else None)
            )
    for i in range(20):
        task = Task(Unit(CellId(0, i)), "random positions")
        found.named.append(named(task))
        found.judged.append(
            judged(JudgeTask(task.unit, ("x",), task), 0.7 if i == 0 else 0.5 + i % 4 / 20, n_failed=i == 5)
        )
    unit = Unit(CellId(0, 3))
    found.judged.append(judged(JudgeTask(unit, ("",), Task(unit), "no name"), 0.9))
    return found


def test_cells_fakes_and_decoys_stand_side_by_side() -> None:
    report = report_of(INDEX, outcome(), labeller="a", judge="b", seed=0, with_model=True)
    rows = {one.group: one for one in report.groups}
    # the largest fake is 0.7: the 95th percentile of twenty, no interpolation
    assert report.layers[0].above == pytest.approx(0.7) and report.layers[0].n_fakes == 20
    assert (rows["cells"].n, rows["cells"].n_unclear, rows["cells"].n_failed) == (20, 3, 2)
    assert rows["cells"].passed.value == 0.5
    # a fake is held to the other nineteen: 0.7 is above their largest, 0.65
    assert rows["fakes"].passed.value == 0.05 and rows["fakes"].n == 20 and report.trusted
    assert rows["decoy: no name"].passed.value == 1
    assert rows["cells"].detection_hard.value == pytest.approx((10 * 0.8 + 5 * 0.65) / 15)
    assert sum(one.passes for one in report.units) == 10
    assert report.control_share == pytest.approx((20 * 21 + 20) / (20 * 21 + 20 + 15 * 20 + 18))


def test_better_than_the_rule_on_the_same_items() -> None:
    report = report_of(INDEX, outcome(), labeller="a", judge="b", seed=0, with_model=True)
    assert report.beats_rule.n == 6 and report.beats_rule.value == pytest.approx(4 / 6)
    by_cell = {one.cell: one for one in report.units}
    assert by_cell["L0.0"].beats_rule and not by_cell["L0.5"].beats_rule and by_cell["L0.7"].beats_rule


def test_what_must_be_said_is_said() -> None:
    report = report_of(INDEX, outcome(), labeller="a", judge="a", seed=0, with_model=False)
    told = " ".join(report.sentences())
    assert "one model (a)" in told and "Without the index's model" in told and "1 answers of the judge" in told
    assert report.to_json()["trusted"] is True and report.to_json()["sentences"] == report.sentences()
    nothing = report_of(INDEX, Outcome(stopped="no calls left"), labeller="a", judge="b", seed=0, with_model=True)
    assert not nothing.trusted
    assert nothing.sentences() == [
        "No fake cell was judged: the labels of this run are not to be trusted.",
        "The run ended early: no calls left",
    ]
