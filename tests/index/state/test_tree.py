"""Merging states: in groups, in any order, stopped anywhere; against one state over everything."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from ffmem import IndexOptions, RunOptions
from ffmem.ids import LayerCells
from ffmem.index import build
from ffmem.index.adopt import adopt_states
from ffmem.index.build import build_index
from ffmem.index.progress import Progress
from ffmem.index.run.executors import Event, EventListener
from ffmem.index.run.job import Job, Tasks
from ffmem.index.scan.job import IndexJob
from ffmem.index.state import tree
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.states import Account, merged_layers, read_account, save_state
from ffmem.index.state.tree import merge_states
from ffmem.store.fields import FIELDS
from tests.fixtures.programs import run_python
from tests.index.run.test_kills import contents

SHAPE = Shape((LayerCells(0, 7), LayerCells(1, 3, n_experts=2)), 2, 4, "1")


def shard(number: int) -> Iterator[tuple[int, int, torch.Tensor, Places]]:
    """Coefficients of the two groups of layers of a shard: few values, so that there are ties."""
    rng = np.random.default_rng(number)
    places = Places(0, np.array([3, 2]), 5 * number + np.array([[0, 1, 2], [3, 4, 0]]))
    for layer, group, n_cells in ((0, 0, 7), (1, 0, 3), (1, 1, 3)):
        values = np.round(rng.normal(size=(2, 3, n_cells)) * 3) / 3
        yield layer, group, torch.from_numpy(values.astype(np.float32)), places


def accumulated(shards: list[int], machine: str = "m") -> LayerAccumulator:
    accumulator = LayerAccumulator(SHAPE)
    for number in shards:
        for layer, group, coefficients, places in shard(number):
            accumulator.observe(layer, coefficients, places, group)
        accumulator.close_shard(number, machine)
    return accumulator


def write(folder: Path, parts: list[list[int]]) -> dict[Path, Account]:
    """A state for each part, and what it says of itself."""
    for slot, shards in enumerate(parts):
        (folder / f"state-r-{slot}.safetensors").write_bytes(accumulated(shards, f"m{slot % 2}").dump("job"))
    return accounts(folder)


def accounts(folder: Path) -> dict[Path, Account]:
    found = {path: read_account(path, "job") for path in sorted(folder.glob("state-*"))}
    return {path: account for path, account in found.items() if account is not None}


def assert_holds(paths: list[Path], shards: list[int]) -> None:
    whole = accumulated(shards)
    for place, layer in enumerate(merged_layers(paths, SHAPE)):
        for name in (field.name for field in FIELDS):
            assert np.array_equal(layer[name], whole.layer(place)[name]), (place, name)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_grouping_gives_the_bits_of_one_state(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    shards = data.draw(st.permutations(range(data.draw(st.integers(1, 24)))))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(shards) - 1)))))
    parts = [list(part) for part in np.split(np.array(shards), cuts) if len(part)]
    states = write(folder, [[int(number) for number in part] for part in parts])
    in_order = dict(data.draw(st.permutations(sorted(states.items()))))
    fan_in, said = data.draw(st.integers(2, 6)), []
    merged = merge_states(in_order, SHAPE, "job", said.append, fan_in)
    assert len(merged) == min(len(states), fan_in) and merged == accounts(folder)
    assert bool(said) == (len(states) > fan_in)
    assert frozenset().union(*(account.covered for account in merged.values())) == frozenset(shards)
    assert frozenset().union(*(account.machines for account in merged.values())) == {
        f"m{slot % 2}" for slot in range(len(parts))
    }
    assert_holds(list(merged), shards)


def test_no_more_is_read_than_must_be(tmp_path: Path) -> None:
    """One state too many costs a group of two, not one of all."""
    states, said = write(tmp_path, [[number] for number in range(17)]), []
    assert len(merge_states(states, SHAPE, "job", said.append)) == 16
    assert said == ["merging 2 of 17 states (group 1 of 1)"]


@pytest.mark.parametrize("moment", ["before it is written", "before anything is deleted", "between deletions"])
@pytest.mark.parametrize("n_done", [0, 2])
def test_a_merge_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, n_done: int
) -> None:
    states = write(tmp_path, [[number, number + 9] for number in range(9)])

    class Stopped(BaseException):
        pass

    saved, unlinked = [], []

    def save(path: Path, *rest: object) -> None:
        if moment == "before it is written" and len(saved) == n_done:
            raise Stopped
        save_state(path, *rest)  # type: ignore[arg-type]
        saved.append(path)

    def unlink(path: Path, **named: bool) -> None:
        if path.name.startswith("state-"):
            if len(saved) == n_done + 1 and (moment == "before anything is deleted" or len(unlinked) % 3 == 1):
                raise Stopped
            unlinked.append(path)
        os.unlink(path)

    monkeypatch.setattr(tree, "save_state", save)
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(Stopped):
        merge_states(states, SHAPE, "job", lambda _: None, 3)
    monkeypatch.undo()
    left = accounts(tmp_path)
    n_overlapping = sum(len(account.covered) for account in left.values()) - 18
    assert n_overlapping == {"before it is written": 0, "before anything is deleted": 6, "between deletions": 4}[moment]
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "next", "job", 1.0)
    assert adopt_states(tmp_path, job, frozenset()) == (set(range(18)), 0)
    adopted = accounts(tmp_path)
    assert sorted(number for account in adopted.values() for number in account.covered) == list(range(18))
    assert len(adopted) == 9 - 2 * (n_done + (moment != "before it is written"))
    assert_holds(list(merge_states(adopted, SHAPE, "job", lambda _: None, 3)), list(range(18)))


class FiveWorkers:
    """Does tasks in this process, each worker in its turn, so that there are five states."""

    n_workers = 5
    works_here = False

    def prepare(self, load: object, n_workers: int) -> None: ...

    def run(self, job: Job, tasks: Tasks, listen: EventListener) -> frozenset[int]:
        given = [*tasks.take()]
        assert tasks.is_whole, "the text of these tests is short"
        workers = [job.start(slot) for slot in range(5)] if given else []
        for number, task in enumerate(given):
            workers[number % 5].do(job.packed(task), lambda n_tokens, text="", n_values=0: None)
            listen(Event("task", number % 5, task=task.task_id))
        for worker in workers:
            worker.save()
        return frozenset()

    def close(self) -> None: ...


def in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds have five workers, whose states are merged two by two."""
    monkeypatch.setattr(build, "make_executor", lambda *_, **__: FiveWorkers())
    monkeypatch.setattr(build, "merge_states", lambda *rest: merge_states(*rest, 2))  # type: ignore[arg-type]


_KILLED = """
import os, signal
from pathlib import Path

import pytest

from tests.index.state.test_tree import in_pairs
import ffmem.cli

unlink = Path.unlink

def die(path, **named):
    if path.name.startswith("state-"):
        os.kill(os.getpid(), signal.SIGKILL)
    unlink(path, **named)

in_pairs(pytest.MonkeyPatch())
Path.unlink = die
ffmem.cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_a_build_killed_between_a_merged_state_and_its_inputs(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = IndexOptions(top=9, shard_tokens=200)
    whole = build_index(tiny_folder("llama"), corpus, tmp_path / "whole", options=options, run=RunOptions(workers=0))
    command = ("index", tiny_folder("llama"), corpus, "--out", tmp_path / "killed")
    killed = run_python("-c", _KILLED, *command, "--top", 9, "--shard-tokens", 200, "--quiet")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    covered = [covered_by(path) for path in (tmp_path / "killed" / "work").glob("state-*")]
    assert any(first < second for first in covered for second in covered)  # a merged state beside what went in
    in_pairs(monkeypatch)
    again = build_index(tiny_folder("llama"), corpus, tmp_path / "killed", options=options)
    assert contents(again.folder) == contents(whole.folder)


def covered_by(path: Path) -> frozenset[int]:
    with safe_open(path, framework="np") as file:
        return frozenset(json.loads(file.metadata()["covered"]))


def test_a_build_says_which_groups_it_merges(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_pairs(monkeypatch)
    told: list[Progress] = []
    options = IndexOptions(top=4, shard_tokens=200)
    build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=options, progress=told.append)
    assert [now.message for now in told if now.stage == "files" and now.message] == [
        "merging 2 of 5 states (group 1 of 3)",
        "merging 2 of 4 states (group 2 of 3)",
        "merging 2 of 3 states (group 3 of 3)",
    ]
