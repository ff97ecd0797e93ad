"""State files: what they say of themselves, what merging gives, and what is done about damaged ones."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from ffmem import ModelError, StoreError
from ffmem.ids import CellSpace, LayerCells
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.states import (
    Account,
    SavedState,
    load_state,
    merged_layers,
    read_account,
    save_state,
    state_path,
    states_of_run,
)
from ffmem.store.fields import FIELDS
from tests.index.state.test_tree import SHAPE, accumulated, write


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda data: b"\x00" * 30, "Expecting value"),
        (lambda data: b"\x02" + b"\x00" * 7 + b"[]", "sizes"),
        (lambda data: b"\xff" * 30, "it has no header"),
        (lambda data: data[:-1], "it ends too early"),
        (lambda data: data[:50], "it has no header"),
        (lambda data: b"", "Expecting value"),
    ],
)
def test_a_damaged_state_says_which_file(tmp_path: Path, harm: Callable[[bytes], bytes], why: str) -> None:
    write(tmp_path, [[0], [1]])
    path = tmp_path / "state-r-1.safetensors"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(StoreError, match=rf"state file .*state-r-1\.safetensors cannot be read: .*{why}.*Delete"):
        list(merged_layers(sorted(tmp_path.iterdir()), SHAPE))


def test_a_state_of_other_sizes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [[0]])
    other = Shape(SHAPE.layers, SHAPE.n_signs, SHAPE.top + 1, "1")
    with pytest.raises(StoreError, match="it holds arrays of other sizes"):
        list(merged_layers(sorted(tmp_path.iterdir()), other))


def test_a_state_that_is_not_written_whole_is_not_there(tmp_path: Path) -> None:
    def layers() -> Iterator[dict[str, np.ndarray]]:
        yield accumulated([0]).layer(0)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        save_state(tmp_path / "state-r-0.safetensors", SHAPE, layers(), "job", {0})
    assert not list(tmp_path.iterdir())


def test_a_saved_state_and_a_dumped_one_are_the_same_bytes(tmp_path: Path) -> None:
    accumulator = accumulated([3, 1])
    layers = (accumulator.layer(place) for place in range(2))
    save_state(tmp_path / "s", SHAPE, layers, "job", accumulator.covered, accumulator.machines)
    assert (tmp_path / "s").read_bytes() == accumulator.dump("job")
    again = LayerAccumulator(SHAPE)
    again.load(accumulator.dump("job"))
    assert again.dump("job") == accumulator.dump("job")


def test_the_files_of_a_run_are_found_by_slot_and_those_of_others_are_not(tmp_path: Path) -> None:
    for run_id, slots in (("ab", (0, 2, 10)), ("abc", (1,)), ("b", (3,))):
        for slot in slots:
            state_path(tmp_path, run_id, slot).touch()
    (tmp_path / "promoted-000.safetensors").touch()
    assert list(states_of_run(tmp_path, "ab").items()) == [
        (slot, tmp_path / f"state-ab-{slot}.safetensors") for slot in (0, 2, 10)
    ]
    assert list(states_of_run(tmp_path, "b")) == [3] and states_of_run(tmp_path, "none") == {}


def test_the_library_of_the_format_reads_what_is_written(tmp_path: Path) -> None:
    accumulator, path = accumulated([3, 1], "a machine"), tmp_path / "s.safetensors"
    path.write_bytes(accumulator.dump("a job"))
    arrays = load_file(path)
    assert sorted(arrays) == sorted(f"L{place}.{field.name}" for place in range(2) for field in FIELDS)
    for place in range(2):
        for name, array in accumulator.layer(place).items():
            assert arrays[f"L{place}.{name}"].dtype == array.dtype
            assert np.array_equal(arrays[f"L{place}.{name}"], array), (place, name)
    with safe_open(path, framework="np") as file:
        assert file.metadata() == {"job": "a job", "covered": "[1, 3]", "machines": '["a machine"]'}
    n_header = int.from_bytes(path.read_bytes()[:8], "little")
    assert n_header % 8 == 0, "numbers of 8 bytes lie at multiples of 8"


def test_an_account_is_read_without_the_arrays_and_only_by_its_own_job(tmp_path: Path) -> None:
    data, path = accumulated([4, 0], "m").dump("mine"), tmp_path / "s"
    path.write_bytes(data)
    expected = Account(frozenset({0, 4}), frozenset({"m"}))
    assert read_account(path, "mine") == load_state(data)[0] == expected
    assert read_account(path, "another") is None
    for harmed in (b"", data[:7], data[:100], data[:-1], b"\xff" * 200):
        path.write_bytes(harmed)
        assert read_account(path, "mine") is None, harmed[:20]
    assert read_account(tmp_path / "nothing", "mine") is None


@pytest.mark.parametrize("told", [{"job": "j"}, {"job": "j", "covered": "1,2"}, {"job": "j", "covered": "{"}])
def test_a_state_that_does_not_say_what_it_covers_is_nobodys(tmp_path: Path, told: dict[str, str]) -> None:
    header = json.dumps({"__metadata__": told}).encode()
    (tmp_path / "s").write_bytes(len(header).to_bytes(8, "little") + header)
    assert read_account(tmp_path / "s", "j") is None


def test_a_state_of_an_older_build_names_no_machine(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"job": "j", "covered": "[7]"}}).encode()
    (tmp_path / "s").write_bytes(len(header).to_bytes(8, "little") + header)
    assert read_account(tmp_path / "s", "j") == Account(frozenset({7}), frozenset())


def small(number: int, values: list[list[float]], tokens: list[int]) -> bytes:
    """The state of one layer of as many cells as columns, from sentences of one token each."""
    shape = Shape((LayerCells(0, len(values[0])),), 1, 2, "1")
    accumulator = LayerAccumulator(shape)
    places = Places(0, np.ones(len(values), dtype=np.int64), np.array(tokens)[:, None])
    accumulator.observe(0, torch.tensor(values, dtype=torch.float32)[:, None], places)
    accumulator.close_shard(number, "m")
    return accumulator.dump("job")


def test_merging_by_hand(tmp_path: Path) -> None:
    """Each way of joining once, on numbers one can follow: a tie at the cut, a list that is not full, a cell never active."""
    shape = Shape((LayerCells(0, 3),), 1, 2, "1")
    (tmp_path / "a").write_bytes(small(0, [[1, 0.5, -1], [4, -2, -3]], [10, 11]))
    (tmp_path / "b").write_bytes(small(1, [[4, -1, -2], [2, -8, -7]], [2, 3]))
    (merged,) = merged_layers([tmp_path / "a", tmp_path / "b"], shape)
    coefficients = (merged["keys"][0] >> 32).astype(np.int32).view(np.float32)
    assert coefficients.tolist() == [[4, 4], [0.5, 0], [0, 0]]
    assert [2**32 - 1 - (key & (2**32 - 1)) for key in merged["keys"][0, 0].tolist()] == [2, 11]
    assert merged["n_active"].tolist() == [4, 1, 0]
    assert merged["counts"].tolist() == [[4, 4]]
    assert merged["minimum"].tolist() == [1, -8, -7] and merged["maximum"].tolist() == [4, 0.5, -1]
    assert (merged["sum"][0] + merged["sum"][1] / 2**40).tolist() == [11, -10.5, -13]
    assert (merged["square_sum"][0] + merged["square_sum"][1] / 2**40).tolist() == [37, 69.25, 63]
    assert merged["histogram"].sum(axis=1).tolist() == [[4, 4, 4]]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_layers_come_in_order_whatever_the_threads_and_as_what_is_made_of_them(tmp_path: Path, threads: int) -> None:
    shape = Shape(tuple(LayerCells(layer, 2 + layer) for layer in range(5)), 1, 2, "1")
    for number in range(2):
        accumulator = LayerAccumulator(shape)
        for layer in range(5):
            values = torch.full((1, 1, 2 + layer), 10.0 * layer + number)
            accumulator.observe(layer, values, Places(0, np.array([1]), np.array([[number]])))
        accumulator.close_shard(number, "m")
        (tmp_path / str(number)).write_bytes(accumulator.dump("job"))
    paths = [tmp_path / "0", tmp_path / "1"]
    found = list(merged_layers(paths, shape, lambda state: {"twice": 2 * state["maximum"]}, threads))
    assert [layer["twice"].tolist() for layer in found] == [[2 * (10 * n + 1)] * (2 + n) for n in range(5)]
    assert [list(layer) for layer in found] == [["twice"]] * 5


def test_inputs_of_a_merge_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, [[0, 2], [1]])
    paths = sorted(tmp_path.iterdir())
    before = [path.read_bytes() for path in paths]
    list(merged_layers(paths, SHAPE))
    assert [path.read_bytes() for path in paths] == before


def test_a_cell_whose_sums_are_too_large_is_told_by_its_own_name(tmp_path: Path) -> None:
    """Of an index of some cells, not by its row."""
    space = CellSpace([LayerCells(3, 50)]).keep({"L3": ((7, 8), (40, 42))})
    shape = Shape(space.layers, 1, 2, "1")
    for number in range(2):
        accumulator = LayerAccumulator(shape)
        values = torch.tensor([[[1.0, 2.0, -1.9e9]]])
        accumulator.observe(0, values, Places(0, np.array([1]), np.array([[number]])))
        accumulator.close_shard(number, "m")
        (tmp_path / str(number)).write_bytes(accumulator.dump("job"))
    with pytest.raises(ModelError, match=r"cell L3\.41 are too large to be summed: between -1\.9e\+09 and -1\.9e\+09"):
        list(merged_layers([tmp_path / "0", tmp_path / "1"], shape))


def test_a_layer_is_read_into_memory_that_is_given(tmp_path: Path) -> None:
    write(tmp_path, [[0, 1]])
    state, expected = SavedState(tmp_path / "state-r-0.safetensors", SHAPE), accumulated([0, 1])
    room = state.room(1)
    room[:] = 255
    layer = state.layer(1, room)
    assert sum(array.nbytes for array in layer.values()) == len(room)
    for name, array in layer.items():
        assert np.shares_memory(array, room) and np.array_equal(array, expected.layer(1)[name]), name


def test_a_state_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as told:
        SavedState(tmp_path / "gone", SHAPE)
    assert told.value.got.startswith(f"the state file {tmp_path / 'gone'} cannot be read: ")
    assert told.value.expected == "Expected a checkpoint of this build"
    assert "its shards are read again" in told.value.mend
