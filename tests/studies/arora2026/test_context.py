"""What experiments share: pairs in two parts, orders that are kept, a run that goes on from where it was stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.circuit.pairs import Group
from ffmem.analyses.circuit.ranking import RankRule
from ffmem.models.transformer import Transformer
from ffmem.studies.arora2026 import context
from ffmem.studies.arora2026.context import begin
from ffmem.studies.arora2026.options import CircuitOptions
from ffmem.studies.results import Results
from ffmem.studies.study import Stage, Subject
from tests.studies.arora2026.conftest import SMALL_CIRCUITS, RunCircuits


class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
    pass


def begun(model: Path, folder: Path, options: CircuitOptions = SMALL_CIRCUITS) -> context.CircuitStudy:
    return begin(Subject(lambda: load_model(model), folder), options, lambda _: None)


def test_pairs_to_locate_and_to_test_are_not_the_same(worded_folder: Path, tmp_path: Path) -> None:
    shared = begun(worded_folder, tmp_path)
    assert shared.templates
    for halves in shared.templates:
        one, other = ({pair.prompt for pair in some.pairs} for some in (halves.located, halves.tested))
        assert one and other and not one & other
        assert len(halves.located) <= 4 and len(halves.tested) <= 5
        assert min(halves.tested.whole.tolist()) > 0


def test_a_run_that_is_stopped_gives_the_same_and_locates_nothing_twice(
    run_circuits: RunCircuits, circuit_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    located: list[str] = []
    ranked = context.ranked

    def noted(model: Transformer, group: Group, rule: RankRule, **more: int) -> torch.Tensor:
        located.append(f"{group.name} {rule}")
        return ranked(model, group, rule, **more)

    monkeypatch.setattr(context, "ranked", noted)

    def listen(stage: Stage) -> None:
        if stage.experiment.startswith("curves-0 gradient") and stage.done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        run_circuits(tmp_path / "stopped", listen=listen)
    again = run_circuits(tmp_path / "stopped")
    assert len(located) == len(set(located)) and located
    for name in ("curves-0", "single-0", "cells-0"):
        assert (again.folder / f"{name}.json").read_bytes() == (circuit_results.folder / f"{name}.json").read_bytes()


def test_other_pairs_are_another_study(worded_folder: Path, tmp_path: Path) -> None:
    first = begun(worded_folder, tmp_path / "one")
    other = begun(worded_folder, tmp_path / "two", replace(SMALL_CIRCUITS, seed=3))
    assert first.results.key != other.results.key
    assert (
        first.results.header["index"]["corpus"]["pairs_sha256"]
        != other.results.header["index"]["corpus"]["pairs_sha256"]
    )
    with pytest.raises(InputError, match="holds results of something else"):
        begun(worded_folder, tmp_path / "one", replace(SMALL_CIRCUITS, seed=3))


def test_what_cannot_be_studied_is_told(worded_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no task 'agreeing'"):
        begun(worded_folder, tmp_path, replace(SMALL_CIRCUITS, task="agreeing"))
    with pytest.raises(InputError, match="is given a corpus, topics"):
        begin(Subject(lambda: load_model(worded_folder), tmp_path, texts=("topics",)), SMALL_CIRCUITS, lambda _: None)
    few = tmp_path / "few.jsonl"
    few.write_text('{"prompt": "The boy", "counterfactual": "The boys", "right": "is", "wrong": "are"}\n')
    with pytest.raises(InputError, match="too few pairs of the task"):
        assert begun(worded_folder, tmp_path / "few", replace(SMALL_CIRCUITS, task=str(few))).templates


def test_sizes_have_the_one_that_claims_are_about(worded_folder: Path, tmp_path: Path) -> None:
    shared = begun(worded_folder, tmp_path, replace(SMALL_CIRCUITS, size=7))
    assert shared.sizes(300) == (0, 1, 2, 5, 7, 10, 20, 50, 300) and shared.sizes(6) == (0, 1, 2, 5, 6)
    assert sorted(shared.order(0, "relp").tolist()) == list(range(len(shared.trial(0).nodes)))
    assert torch.equal(shared.order(0, "relp"), shared.order(0, "relp"))
