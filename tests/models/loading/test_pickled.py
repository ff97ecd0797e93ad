"""Weights in pickles: the same tensors as safetensors gives, and nothing that is not a tensor."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ffmem import InputError, ModelError
from ffmem.models.loading.pickled import as_safetensors, load_pickled


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(3, 4, generator=generator)
    return {f"w{seed}": matrix, f"tied{seed}": matrix, f"t{seed}": matrix.T, f"half{seed}": matrix.to(torch.bfloat16)}


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_back(tmp_path: Path, zipped: bool) -> None:
    torch.save(state(1), tmp_path / "a.bin", _use_new_zipfile_serialization=zipped)
    found = load_pickled(tmp_path / "a.bin")
    assert found.keys() == state(1).keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in state(1).items()
    )


def test_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(1), "b": Code()}, tmp_path / "a.bin")
    with pytest.raises(InputError, match="it is a pickle that asks for code, and none of it was run") as raised:
        load_pickled(tmp_path / "a.bin")
    assert f"f = '{tmp_path / 'a.bin'}'" in raised.value.mend and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("held", "kinds"), [({"a": torch.ones(1), "n": 3}, "Tensor and int"), ([1], "list"), ({"a": {}}, "dict")]
)
def test_more_than_tensors_is_refused(tmp_path: Path, held: object, kinds: str) -> None:
    torch.save(held, tmp_path / "a.bin")
    with pytest.raises(InputError, match=f"holds {kinds}, not only tensors by their names"):
        load_pickled(tmp_path / "a.bin")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no pickle at all"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises((ModelError, InputError)) as raised:
        load_pickled(tmp_path / "a.bin")
    assert str(tmp_path / "a.bin") in str(raised.value)


def test_a_cut_archive_is_damaged(tmp_path: Path) -> None:
    torch.save(state(1), tmp_path / "a.bin")
    whole = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        load_pickled(tmp_path / "a.bin")


@pytest.mark.parametrize("n_files", [1, 2])
def test_converted_once_and_the_same(tmp_path: Path, cache: Path, n_files: int) -> None:
    files = [tmp_path / f"{number}.bin" for number in range(n_files)]
    for number, file in enumerate(files):
        torch.save(state(number), file)
    made = as_safetensors(tmp_path, files)
    tensors = {}
    for path in made.values():
        if path.suffix == ".safetensors":
            tensors |= load_file(path)
    expected = {name: tensor for number in range(n_files) for name, tensor in state(number).items()}
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())
    assert ("model.safetensors.index.json" in made) == (n_files > 1)
    if n_files > 1:
        listed = json.loads(made["model.safetensors.index.json"].read_text())["weight_map"]
        assert {name: name[-1] for name in listed} == {name: str(int(listed[name][6:11]) - 1) for name in listed}
    times = {path: path.stat().st_mtime_ns for path in made.values()}
    assert {path: path.stat().st_mtime_ns for path in as_safetensors(tmp_path, files).values()} == times
    assert all(cache in path.parents for path in made.values())


def test_pickle_of_python_is_not_read_as_weights(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(pickle.dumps({"a": [1.0]}))
    with pytest.raises((InputError, ModelError)):
        load_pickled(tmp_path / "a.bin")
