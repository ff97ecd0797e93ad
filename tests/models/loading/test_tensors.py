"""Which tensors a set of files holds, and how each is read, against what was written."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ffmem import ModelError
from ffmem.models.loading.tensors import WeightFiles, names_in

HALVES = (
    {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)},
    {"c": torch.randn(4, generator=torch.Generator().manual_seed(0)).bfloat16(), "d": torch.zeros(0, 3)},
)


@pytest.fixture
def files(tmp_path: Path) -> WeightFiles:
    """Two files under other names than those that the library looks for, and an index of which nothing is read."""
    links = {"model.safetensors.index.json": tmp_path / "index.json"}
    (tmp_path / "index.json").write_text("{}")
    for number, half in enumerate(HALVES):
        save_file(half, tmp_path / f"part {number}")
        links[f"model-0000{number + 1}-of-00002.safetensors"] = tmp_path / f"part {number}"
    return WeightFiles(links)


def test_every_tensor_is_told_with_its_file_and_read_from_there(files: WeightFiles, tmp_path: Path) -> None:
    assert files.tensors == {name: tmp_path / f"part {number}" for number, half in enumerate(HALVES) for name in half}
    with files.reading() as read:
        for expected in HALVES:
            for name, tensor in expected.items():
                found = read(name)
                assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape) and torch.equal(found, tensor)
        with pytest.raises(KeyError):
            read("e")


def test_names_need_no_numbers(files: WeightFiles, tmp_path: Path) -> None:
    """A file is opened when a tensor of it is asked for, and not before: the other may be gone by then."""
    assert sorted(names_in(tmp_path / "part 0")) == ["a", "b"]
    assert len(files.tensors) == 4
    (tmp_path / "part 1").unlink()
    with files.reading() as read:
        assert read("b") == 7
        with pytest.raises(FileNotFoundError):
            read("c")


@pytest.mark.parametrize("content", [b"", b"x" * 40, b"\xff" * 8 + b"{}", None])
def test_a_file_that_is_none_is_told_by_its_name(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        names_in(file)
    assert raised.value.got.startswith(f"the weights in {tmp_path} cannot be read: model.safetensors: ")
    assert raised.value.mend == "Download or save the model again"


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    save_file(HALVES[0], tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for n in (4, 20, len(whole) - 1):
        (tmp_path / "a").write_bytes(whole[:n])
        with pytest.raises(ModelError, match=r"Expected whole \.safetensors files"):
            names_in(tmp_path / "a")
