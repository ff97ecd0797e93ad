"""State files of earlier runs: which are taken over, under which names, and which are not."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import IndexOptions
from ffmem.ids import LayerCells
from ffmem.index.adopt import adopt_states
from ffmem.index.scan.job import IndexJob
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import read_account


def test_overlapping_states_of_a_worker_that_outlived_its_parent_count_once(tmp_path: Path) -> None:
    def state(name: str, shards: set[int], job: str = "job") -> None:
        accumulator = LayerAccumulator(Shape((LayerCells(0, 4),), 1, 2, "1"))
        accumulator.covered = shards
        (tmp_path / name).write_bytes(accumulator.dump(job))

    state("state-old-0.safetensors", {0, 1, 2})
    state("state-old-1.safetensors", {3})
    state("state-older-0.safetensors", {2, 5})
    state("state-alien-0.safetensors", {7}, job="another job")
    (tmp_path / "state-half-0.safetensors").write_bytes(b"\x00" * 20)
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "new", "job", 1.0)
    assert adopt_states(tmp_path, job, frozenset()) == ({0, 1, 2, 3}, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state-new-0.safetensors", "state-new-1.safetensors"]
    newer = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "newer", "job", 1.0)  # shard 1 is left out now
    assert adopt_states(tmp_path, newer, frozenset({1})) == ({3}, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["state-newer-0.safetensors"]


def state_of(shards: set[int], job: str = "job") -> bytes:
    accumulator = LayerAccumulator(Shape((LayerCells(0, 1),), 1, 1, "1"))
    accumulator.covered = shards
    return accumulator.dump(job)


kinds = st.sampled_from(["state", "of another job", "damaged", "of nothing"])


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(st.tuples(st.sets(st.integers(0, 9), min_size=1, max_size=5), kinds), max_size=7),
    wanted=st.frozensets(st.integers(0, 9), min_size=1),
)
def test_of_any_states_those_are_taken_that_fit_together(
    files: list[tuple[set[int], str]], wanted: frozenset[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = tmp_path_factory.mktemp("work")
    sound: list[frozenset[int]] = []
    for number, (shards, kind) in enumerate(files):
        data = state_of(shards if kind != "of nothing" else set(), "other" if kind == "of another job" else "job")
        (work / f"state-run{number % 3}-{number}.safetensors").write_bytes(data[:-1] if kind == "damaged" else data)
        sound += [frozenset(shards)] if kind == "state" else []
    job = IndexJob(work, "m", None, IndexOptions(), "raw", "new", "job", 1.0)
    covered, n_dropped = adopt_states(work, job, frozenset(range(10)) - wanted)
    names = [f"state-new-{slot}.safetensors" for slot in range(len(list(work.iterdir())))]
    assert sorted(path.name for path in work.iterdir()) == names, "slots from 0, without gaps, and nothing else is left"
    taken = [read_account(work / name, "job") for name in names]
    parts = [account.covered for account in taken if account is not None]
    assert len(parts) == len(names) and all(part in sound for part in parts)
    assert sum(map(len, parts)) == len(covered) and covered == set().union(*parts) <= wanted
    assert n_dropped == sum(len(one & wanted) for one in sound if not one <= wanted)
    for one in sound:  # none is left out without need, and none for a smaller one
        if one <= wanted and one not in parts:
            assert any(one & part and len(part) >= len(one) for part in parts)


def test_a_state_is_taken_over_as_it_is(tmp_path: Path) -> None:
    data = state_of({4, 2})
    (tmp_path / "state-old-9.safetensors").write_bytes(data)
    (tmp_path / "promoted-000.safetensors").write_bytes(b"no state")
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "new", "job", 1.0)
    assert adopt_states(tmp_path, job, frozenset()) == ({2, 4}, 0)
    assert (tmp_path / "state-new-0.safetensors").read_bytes() == data
    assert (tmp_path / "promoted-000.safetensors").read_bytes() == b"no state"


def test_a_run_may_adopt_what_it_has_adopted_before(tmp_path: Path) -> None:
    """Stopped in the middle of it, states lie under a name of its own that the next run finds as well."""
    (tmp_path / "state-adopted-gone-0.safetensors").write_bytes(state_of({0, 1}))
    (tmp_path / "state-gone-0.safetensors").write_bytes(state_of({2}))
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "new", "job", 1.0)
    assert adopt_states(tmp_path, job, frozenset()) == ({0, 1, 2}, 0)
    assert adopt_states(tmp_path, job, frozenset()) == ({0, 1, 2}, 0)
    assert adopt_states(tmp_path, job, frozenset({2})) == ({0, 1}, 0), "shard 2 alone is left out"
    assert [path.name for path in tmp_path.iterdir()] == ["state-new-0.safetensors"]


def test_where_there_is_nothing_nothing_is_covered(tmp_path: Path) -> None:
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "new", "job", 1.0)
    assert adopt_states(tmp_path, job, frozenset()) == (set(), 0)
