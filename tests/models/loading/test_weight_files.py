"""Which files hold the weights: one set, whole; copies are compared, pickles give tensors and run nothing."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffmem import InputError, ModelError, load_model
from tests.models.test_registry import change_weights

Folder = Callable[[str], Path]
WEIGHTS = "model.safetensors"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "llama"))


@pytest.fixture
def own_hash(tiny_folder: Folder) -> str:
    return load_model(tiny_folder("llama")).weights_hash()


def save(weights: dict[str, torch.Tensor], file: Path) -> None:
    save_file({name: tensor.clone() for name, tensor in weights.items()}, file, metadata={"format": "pt"})


def split(folder: Path, change: Callable[[dict[str, torch.Tensor]], object] = lambda weights: None) -> None:
    """The weights in two files with their index, the single file gone."""
    weights = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(weights)
    names = sorted(weights)
    halves = (names[:10], names[10:])
    for file, half in zip(SHARDS, halves, strict=True):
        save({name: weights[name] for name in half}, folder / file)
    where = {name: file for file, half in zip(SHARDS, halves, strict=True) for name in half}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (folder / WEIGHTS).unlink()


def pickled(folder: Path) -> dict[str, torch.Tensor]:
    weights = load_file(folder / WEIGHTS)
    torch.save(weights, folder / "pytorch_model.bin")
    return weights


# Parts


def test_parts_are_the_whole(copy: Path, own_hash: str) -> None:
    split(copy)
    assert load_model(copy).weights_hash() == own_hash


def test_a_part_that_is_missing(copy: Path) -> None:
    split(copy)
    (copy / SHARDS[1]).unlink()
    with pytest.raises(ModelError, match=rf"names 1 of 2 files that are missing: {SHARDS[1]}"):
        load_model(copy)


def test_parts_without_their_index(copy: Path) -> None:
    split(copy)
    (copy / INDEX).unlink()
    with pytest.raises(InputError, match=r"holds parts of a model .* and no model\.safetensors\.index\.json"):
        load_model(copy)


def test_a_part_with_more_than_the_index_says(copy: Path) -> None:
    split(copy)
    save(load_file(copy / SHARDS[0]) | {"model.more": torch.ones(2)}, copy / SHARDS[0])
    with pytest.raises(ModelError, match=r"disagree about the tensor model\.more"):
        load_model(copy)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": {"a": "../../other.safetensors"}}', '{"weight_map": {}}']
)
def test_a_broken_index(content: str, copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / INDEX).write_text(content)
    with pytest.raises(ModelError, match=r"index\.json cannot be read: .* Expected a weight_map"):
        load_model(copy)


def test_a_single_file_and_parts(copy: Path, tiny_folder: Folder) -> None:
    split(copy)
    shutil.copy(tiny_folder("llama") / WEIGHTS, copy)
    with pytest.raises(InputError, match=r"holds two sets of weights: model\.safetensors, and the 2 files"):
        load_model(copy)


def test_an_index_of_the_single_file(copy: Path, own_hash: str) -> None:
    (copy / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(load_file(copy / WEIGHTS), WEIGHTS)}))
    assert load_model(copy).weights_hash() == own_hash


def test_a_link_to_nowhere(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / WEIGHTS).symlink_to(copy / "gone")
    with pytest.raises(ModelError, match=r"is a link to .*gone, which is missing"):
        load_model(copy)


# Copies, and what is none


def test_a_variant_alone_is_the_model(copy: Path) -> None:
    save({name: tensor.half() for name, tensor in load_file(copy / WEIGHTS).items()}, copy / "model.fp16.safetensors")
    both = load_model(copy)
    assert both.origin.not_read == ("model.fp16.safetensors",)
    (copy / WEIGHTS).unlink()
    alone = load_model(copy)
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(alone.module.get_parameter(name).half(), both.module.get_parameter(name).half())


def test_a_variant_that_differs(copy: Path) -> None:
    save(
        {name: tensor.half() * 2 for name, tensor in load_file(copy / WEIGHTS).items()}, copy / "model.fp16.safetensors"
    )
    with pytest.raises(InputError, match=r"two sets of weights that differ"):
        load_model(copy)


def test_a_pickle_beside_that_is_a_copy(copy: Path, own_hash: str) -> None:
    pickled(copy)
    model = load_model(copy)
    assert model.weights_hash() == own_hash and model.origin.not_read == ("pytorch_model.bin",)


def test_a_pickle_beside_that_differs_in_one_number(copy: Path) -> None:
    pickled(copy)
    name = "model.layers.1.mlp.down_proj.weight"
    change_weights(copy, lambda weights: weights[name].view(-1)[777].add_(1e-3))
    with pytest.raises(
        InputError, match=rf"model\.safetensors and pytorch_model\.bin do not have the same {re.escape(name)}"
    ):
        load_model(copy)


def test_the_form_of_the_program_that_trained_it(copy: Path, own_hash: str) -> None:
    weights = load_file(copy / WEIGHTS)
    original = {
        f"layers.{n}.feed_forward.w2.weight": weights[f"model.layers.{n}.mlp.down_proj.weight"] for n in range(3)
    }
    save(original, copy / "consolidated.safetensors")
    assert load_model(copy).weights_hash() == own_hash
    save({name: tensor * 2 for name, tensor in original.items()}, copy / "consolidated.safetensors")
    with pytest.raises(
        InputError, match=r"two sets of weights that differ: model\.safetensors and consolidated\.safetensors"
    ):
        load_model(copy)
    (copy / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"in the format of the program that trained them"):
        load_model(copy)


@pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack"])
def test_another_framework_alone(name: str, copy: Path) -> None:
    (copy / WEIGHTS).rename(copy / name)
    with pytest.raises(InputError, match=rf"belong to another framework: {re.escape(name)}"):
        load_model(copy)


@pytest.mark.parametrize("name", ["mm_projector.bin", "visual.safetensors", "value_head.pt", SHARDS[0]])
def test_weights_that_nothing_names(name: str, copy: Path) -> None:
    save({"a": torch.ones(1)}, copy / name)
    with pytest.raises(InputError, match=rf"holds weights that are not part of its model: {re.escape(name)}"):
        load_model(copy)


def test_what_a_trainer_keeps_is_no_model(copy: Path, own_hash: str) -> None:
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        (copy / name).write_bytes(b"x")
    assert load_model(copy).weights_hash() == own_hash


# Pickles


def test_a_pickle_alone_is_converted_once(copy: Path, own_hash: str, cache: Path) -> None:
    pickled(copy)
    (copy / WEIGHTS).unlink()
    assert load_model(copy).weights_hash() == own_hash
    made = list(cache.glob("models/llama-*/model.safetensors"))
    assert len(made) == 1 and list(copy.glob("*.safetensors")) == []
    stamp = made[0].stat().st_mtime_ns
    assert load_model(copy).weights_hash() == own_hash and made[0].stat().st_mtime_ns == stamp


def test_pickles_in_parts_and_of_old(copy: Path, own_hash: str, cache: Path) -> None:
    weights = load_file(copy / WEIGHTS)
    names = sorted(weights)
    where = {}
    for number, half in enumerate((names[:10], names[10:]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: weights[name] for name in half}, copy / file, _use_new_zipfile_serialization=False)
        where |= dict.fromkeys(half, file)
    (copy / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"do not fit: pytorch_model-00001"):
        load_model(copy)
    (copy / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert load_model(copy).weights_hash() == own_hash


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_code_in_a_pickle_is_not_run_and_the_advice_works(
    copy: Path, own_hash: str, cache: Path, tmp_path: Path
) -> None:
    weights = load_file(copy / WEIGHTS)
    (copy / WEIGHTS).unlink()
    torch.save(weights | {"more": Code(tmp_path / "mark")}, copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"a pickle that asks for code, and none of it was run") as raised:
        load_model(copy)
    assert not (tmp_path / "mark").exists()
    assert not list(cache.glob("models/*")) or not list(cache.glob("models/llama-*/*"))
    command = raised.value.mend[raised.value.mend.index("python -c") :]
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True, timeout=120)
    assert load_model(copy).weights_hash() == own_hash


@pytest.mark.parametrize(
    "content", [[1, 2], {"model": {"a": torch.ones(1)}}, {"epoch": 3, "a": torch.ones(1)}], ids=str
)
def test_a_pickle_of_something_else(content: object, copy: Path, cache: Path) -> None:
    (copy / WEIGHTS).unlink()
    torch.save(content, copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"not only tensors by their names"):
        load_model(copy)


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04" + b"\0" * 50])
def test_a_damaged_pickle(content: bytes, copy: Path, cache: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / "pytorch_model.bin").write_bytes(content)
    with pytest.raises((ModelError, InputError), match=r"pytorch_model\.bin (cannot be read|holds more than weights)"):
        load_model(copy)


def test_a_plain_pickle_is_no_way_in(copy: Path, cache: Path, tmp_path: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Code(tmp_path / "mark")}))
    with pytest.raises((ModelError, InputError)):
        load_model(copy)
    assert not (tmp_path / "mark").exists()
