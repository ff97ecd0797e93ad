"""Ways of changing facts, and runs that are stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem.analyses.editing.effects import Answers
from ffmem.models.patches.changes import Added
from ffmem.studies import checkpoint
from ffmem.studies.meng2022.conditions import (
    Condition,
    ConditionResult,
    _elsewhere,
    _joined,
    _parts,
    scores_of,
)
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Stage
from tests.studies.meng2022.conftest import RunEdits


def test_random_cells_move_as_far_as_others_did() -> None:
    change = Added(torch.arange(12.0).reshape(12, 1), torch.ones(1, 3))
    other = _elsewhere(change, 0)
    assert isinstance(other, Added)
    assert sorted(other.left.flatten().tolist()) == change.left.flatten().tolist()
    assert not torch.equal(other.left, change.left) and torch.equal(other.right, change.right)


def test_a_score_has_an_interval_by_leaving_out_a_fact_at_a_time() -> None:
    """By hand: of four facts, one fails at its prompt."""
    fact = np.tile(np.arange(4), 3)
    kind = np.repeat([0, 1, 2], 4)
    ratio = np.where((kind == 0) & (fact == 0), 0.5, 2.0)
    answers = Answers(fact, kind, np.where(kind == 2, 0.0, np.log(ratio)), np.where(kind == 2, 1.0, 0.0))
    found = scores_of(answers)
    assert found.value == pytest.approx(3 / (1 / 0.75 + 2))
    without = [1.0] + [3 / (1 / (2 / 3) + 2)] * 3
    error = np.sqrt(3 / 4 * ((np.array(without) - np.mean(without)) ** 2).sum())
    assert found.value - found.low == pytest.approx(3.182 * error, rel=1e-3)
    assert found.high <= 1.0


def test_parts_come_back_edit_by_edit() -> None:
    rng = np.random.default_rng(0)
    parts = [
        {name: rng.random(n) for name in ("fact", "kind", "new", "old")}
        | {"text": rng.random((1, 3, 6)), "side": rng.random((1, 5))}
        for n in (4, 2, 7)
    ]
    again = _parts(_joined(parts))
    assert len(again) == 3
    for part, same in zip(parts, again, strict=True):
        assert part.keys() == same.keys()
        for name in part:
            np.testing.assert_array_equal(part[name], same[name])
    assert _parts(None) == []


def test_names_of_experiments() -> None:
    assert Condition("memit, at once", 3).name == "edits-memit-at-once-L3"
    assert Condition("prefix").name == "edits-prefix"


def test_a_run_that_is_stopped_within_a_way_goes_on_and_finds_the_same(
    run_edits: RunEdits, edit_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)

    def stop(stage: Stage) -> None:
        if stage.experiment == "edits-rome-L0" and stage.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_edits(tmp_path, listen=stop)
    seen: list[Stage] = []
    results = run_edits(tmp_path, listen=seen.append)
    assert Stage("edits-none", 1, 1) in seen
    for name in ("edits-none", "edits-rome-L0"):
        both = [one.load(name, ConditionResult) for one in (results, edit_results)]
        assert both[0].efficacy == both[1].efficacy and both[0].touched == both[1].touched
        arrays = [one.load_arrays(name) for one in (results, edit_results)]
        for key in ("fact", "kind", "new", "old", "text", "side"):
            np.testing.assert_array_equal(arrays[0][key], arrays[1][key])


def test_what_changes_nothing_has_no_side_effects_and_what_changes_has(edit_findings: Findings) -> None:
    found = {one.way: one for one in edit_findings.values.values() if isinstance(one, ConditionResult)}
    assert (found["none"].moved, found["none"].divergence.value, found["none"].overlap) == (0.0, 0.0, 1.0)
    assert found["rome"].moved > 0 and found["rome"].divergence.value > 0
    assert found["random cells"].norm == pytest.approx(found["rome"].norm, rel=0.5)
    assert found["knowledge"].n_facts == 1
