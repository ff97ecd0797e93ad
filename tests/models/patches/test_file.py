"""Patches on disk: what comes back, whose they are, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ffmem import InputError, ModelError, load_model
from ffmem.models.patches.changes import Added, Replaced
from ffmem.models.patches.file import Patch, apply_patch, make_patch, read_patch, write_patch
from ffmem.models.transformer import Transformer
from ffmem.store.files import sha256_of


def changes(model: Transformer) -> dict[int, Added | Replaced]:
    generator = torch.Generator().manual_seed(1)
    n, d = model.values(0).shape
    return {
        0: Added(torch.randn(n, 1, generator=generator), torch.randn(1, d, generator=generator)),
        1: Replaced(torch.tensor([2]), torch.randn(1, d, generator=generator)),
    }


@pytest.fixture
def patched(tiny_folder: Callable[[str], Path], tmp_path: Path) -> tuple[Path, Patch]:
    model = load_model(tiny_folder("llama"))
    patch = make_patch(model, changes(model), "cell", [{"prompt": "The river", "new": " sea"}])
    write_patch(tmp_path / "one.patch", patch)
    return tmp_path / "one.patch", patch


def test_a_patch_comes_back_as_it_was(patched: tuple[Path, Patch]) -> None:
    path, patch = patched
    again = read_patch(path)
    assert replace(again, changes={}) == replace(patch, changes={})
    assert again.changes.keys() == patch.changes.keys() == {"L0", "L1"}
    for layer, change in patch.changes.items():
        for name, array in vars(change).items():
            assert torch.equal(getattr(again.changes[layer], name), array)


def test_a_model_with_a_patch_is_another_model_that_is_proved_and_names_it(
    patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path]
) -> None:
    path, patch = patched
    own, model = load_model(tiny_folder("llama")), load_model(tiny_folder("llama"), patches=[path])
    assert own.weights_hash() == patch.base_sha256 != model.weights_hash() == patch.patched_sha256
    assert model.origin.identity["patch 1"] == sha256_of(path)
    assert model.facts.name == f"{own.facts.name}+{path.stem}"
    assert model.identity_errors.keys() == own.identity_errors.keys() != set()
    assert torch.equal(model.values(1)[2], patch.changes["L1"].values[0])  # type: ignore[union-attr]


def test_undo_restores_the_hash(patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    undo = apply_patch(model, patched[1])
    assert model.weights_hash() == patched[1].patched_sha256
    undo()
    assert model.weights_hash() == patched[1].base_sha256
    assert load_model(tiny_folder("llama")).weights_hash() == patched[1].base_sha256


def test_a_second_patch_is_of_the_model_with_the_first(
    patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = load_model(tiny_folder("llama"), patches=[patched[0]])
    second = make_patch(model, {0: changes(model)[0]}, "rome", [])
    write_patch(tmp_path / "two.patch", second)
    both = load_model(tiny_folder("llama"), patches=[patched[0], tmp_path / "two.patch"])
    assert both.weights_hash() == second.patched_sha256
    assert set(both.origin.identity) >= {"patch 1", "patch 2"}
    assert both.facts.name == f"llama+{patched[0].stem}+two"
    for order in ([tmp_path / "two.patch"], [tmp_path / "two.patch", patched[0]]):
        with pytest.raises(InputError, match="with the same patches before it"):
            load_model(tiny_folder("llama"), patches=order)


@pytest.mark.parametrize("other", ["gpt2", "llama_biased", "shuffled"])
def test_another_model_is_refused(other: str, patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path]) -> None:
    name = f"shuffled:{tiny_folder('llama')}" if other == "shuffled" else tiny_folder(other)
    model = load_model(name)
    before = model.weights_hash()
    with pytest.raises(InputError, match=r"one.patch was made of .*Expected the model that it was made of"):
        apply_patch(model, patched[1], "one.patch")
    assert model.weights_hash() == before


def test_another_number_type_is_refused_and_named(
    patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path]
) -> None:
    with pytest.raises(InputError, match=r"\(float32\).*\(bfloat16\)"):
        load_model(tiny_folder("llama"), patches=[patched[0]], dtype="bfloat16")


def test_weights_that_are_not_those_that_were_measured_are_refused_and_undone(
    patched: tuple[Path, Patch], tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder("llama"))
    with pytest.raises(ModelError, match="has other weights than when the patch was made"):
        apply_patch(model, replace(patched[1], patched_sha256="0" * 64))
    assert model.weights_hash() == patched[1].base_sha256


def test_damaged_files_are_refused(patched: tuple[Path, Patch], tmp_path: Path) -> None:
    data = patched[0].read_bytes()
    cases = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"no patch at all, but some words that are long enough",
        "format": data.replace(b'\\"format\\": 1', b'\\"format\\": 9'),
        "layer": data.replace(b"L1 rows", b"L1 rose"),
    }
    for name, content in cases.items():
        assert content != data
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name} cannot be read as a patch: .+"):
            read_patch(tmp_path / name)
    with pytest.raises(InputError, match="there is no file"):
        read_patch(tmp_path / "missing")
