"""A verb's options decide how its model is loaded."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.cli import loading
from ffmem.cli.loading import load, load_indexed, load_known
from ffmem.cli.options import IndexModelOptions, ModelOptions
from ffmem.models.threads import torch_threads


@pytest.fixture(autouse=True)
def same_threads_again() -> Iterator[None]:
    with torch_threads(1):
        yield


def test_options_reach_the_model(tiny_folder: Callable[[str], Path]) -> None:
    model = load(str(tiny_folder("gpt2")), ModelOptions(dtype="bfloat16", threads=2))
    assert model.facts.dtype == "bfloat16" and {one.dtype for one in model.module.parameters()} == {torch.bfloat16}
    assert torch.get_num_threads() == 2
    assert load(str(tiny_folder("gpt2")), ModelOptions()).facts.dtype == "float32" and torch.get_num_threads() == 1


def test_the_architecture_is_what_the_user_says(tiny_folder: Callable[[str], Path]) -> None:
    folder = str(tiny_folder("bert"))
    assert load(folder, ModelOptions(architecture="BertForMaskedLM")).facts.architecture == "BertForMaskedLM"
    with pytest.raises(InputError, match="NoSuchModel"):
        load(folder, ModelOptions(architecture="NoSuchModel"))


def test_a_device_that_is_not_there_is_told_before_anything_is_read() -> None:
    for device in ("cuda:99", "abacus"):
        with pytest.raises(
            InputError, match=f"--device is '{device}', which cannot be used here: .*Write --device cpu"
        ):
            load("/no/such/model", ModelOptions(device=device))
    with pytest.raises(InputError, match="/no/such/model"):
        load("/no/such/model", ModelOptions())


def test_the_model_of_an_index_is_the_one_it_was_built_from(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    index = index_of("gpt2")
    moved = shutil.copytree(tiny_folder("gpt2"), tmp_path / "moved")
    model = load_indexed(index, str(moved), IndexModelOptions(threads=2))
    assert model.weights_hash() == index.manifest.identity.model.weights_sha256 and torch.get_num_threads() == 2
    assert model.facts.dtype == index.manifest.options.dtype
    with pytest.raises(InputError, match=r"has other weights than the one that .* was built from.*--model FOLDER"):
        load_indexed(index, str(tiny_folder("opt")), IndexModelOptions())
    assert ffmem.open_index(index.folder).cells.layers == model.cells.layers


def test_an_index_stands_for_its_model(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    folder = str(index_of("gpt2").folder)
    own, model = load_known(folder, None, ModelOptions(threads=2, device="cpu"))
    assert own is not None and str(own.folder) == folder and torch.get_num_threads() == 2
    none, same = load_known(str(tiny_folder("gpt2")), None, ModelOptions())
    beside, _ = load_known(str(tiny_folder("gpt2")), folder, ModelOptions())
    assert none is None and beside is not None and str(beside.folder) == folder
    assert model.weights_hash() == same.weights_hash() == own.manifest.identity.model.weights_sha256


@pytest.mark.parametrize("device", [None, "cpu", "cuda"])
def test_a_device_that_is_typed_counts_for_an_index_too(
    device: str | None, index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(loading, "load_indexed_model", lambda _index, _source, where, **_: asked.append(where))
    load_known(str(index_of("gpt2").folder), None, ModelOptions(device=device))
    assert asked == [device]  # None: where it was built, which may be a GPU


@pytest.mark.parametrize(
    ("index", "options", "flag"),
    [
        ("runs/other", ModelOptions(), "--index"),
        (None, ModelOptions(dtype="bfloat16"), "--dtype"),
        (None, ModelOptions(revision="main", patch=("a.patch",)), "--revision, --patch"),
    ],
)
def test_an_index_says_itself_how_its_model_is_read(
    index: str | None, options: ModelOptions, flag: str, index_of: Callable[[str], Index]
) -> None:
    with pytest.raises(InputError, match=f"is an index, and says itself .*Expected no {flag} beside it"):
        load_known(str(index_of("gpt2").folder), index, options)
