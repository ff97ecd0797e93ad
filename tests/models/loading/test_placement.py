"""A model spread by accelerate is the model held whole, bit for bit on a CPU; what cannot be spread is refused."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import IndexOptions, InputError, RunOptions, build_index, load_model
from ffmem.models.loading.placement import spreading
from ffmem.models.present import is_offloaded

pytest.importorskip("accelerate", reason="the extra quantized is not installed")


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "t5"])
def test_an_index_has_the_same_bytes(
    family: str, tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tiny_folder(family)
    whole = load_model(folder)
    half = f"cpu={sum(4 * one.numel() for one in whole.module.parameters()) // 2}B"
    model = load_model(folder, device_map=half)
    assert is_offloaded(model.module) and set(model.module.hf_device_map.values()) >= {"disk"}
    assert model.weights_hash() == whole.weights_hash() and model.identity_errors == whole.identity_errors
    options = IndexOptions(top=3, max_sentences=20)
    build_index(folder, corpus, tmp_path / "whole", options=options, run=RunOptions(workers=0))
    build_index(folder, corpus, tmp_path / "spread", options=options, run=RunOptions(workers=0, device_map=half))
    files = [file.relative_to(tmp_path / "whole") for file in (tmp_path / "whole").rglob("*") if file.is_file()]
    different = [
        str(one) for one in files if (tmp_path / "whole" / one).read_bytes() != (tmp_path / "spread" / one).read_bytes()
    ]
    assert set(different) <= {"run.json"} and len(files) > 5


def test_folders_for_weights_go_with_the_model(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = load_model(tiny_folder("llama"), device_map="cpu=1000B", proved=False)
    assert not list(tmp_path.iterdir())  # all lies in the model's own files
    assert model.values(0).shape == (model.facts.d_ff, model.facts.d_model)


@pytest.mark.parametrize(
    ("device_map", "device", "message"),
    [
        ("auto", "cuda:1", "--device-map is given with --device cuda:1.*Write --device cuda, and the GPUs"),
        ("0=1GB", "cpu", "--device-map 0=1GB names GPU 0 with --device cpu.*Expected no other device than cpu"),
        ("cpu=1GB", "cuda", "--device-map cpu=1GB names no GPU with --device cuda"),
        ("7=1GB", "cuda", "names GPU 7 with --device cuda"),
    ],
)
def test_maps_that_do_not_fit_the_device(device_map: str, device: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spreading(device_map, device)


def test_what_transformers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spreading("cpu=2GB", "cpu") == {"device_map": "auto", "max_memory": {"cpu": 2 * 10**9}}
    (name,) = spreading("auto", "cpu")["max_memory"]
    assert name == "cpu"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("accelerate.utils.get_max_memory", lambda: {0: 100, 1: 50, "cpu": 1000})
    assert spreading("auto", "cuda")["max_memory"] == {0: 80, 1: 40, "cpu": 800}
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "accelerate" else find(name, *more)
    )
    with pytest.raises(InputError, match=r"needs the package accelerate, which is not installed.*pip install"):
        spreading("auto", "cpu")


def test_what_cannot_be_spread_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    whole = load_model(tiny_folder("bert"), proved=False)
    half = sum(4 * one.numel() for one in whole.module.parameters()) // 2
    with pytest.raises(
        InputError, match=r"in .* cannot be spread by accelerate"
    ):  # its tied head is in accelerate's way
        load_model(tiny_folder("bert"), device_map=f"cpu={half}B")
    with pytest.raises(InputError, match="and its attention uses them without running"):
        load_model(tiny_folder("all_attention"), device_map="cpu=1000B")
    with pytest.raises(InputError, match="on the disk, and untrained: changes them"):
        load_model(f"untrained:{tiny_folder('llama')}", device_map="cpu=1000B")
    with pytest.raises(InputError, match="cannot be spread over devices: its weights are packed"):
        load_model(tiny_folder("llama"), device_map="auto", quantize="8bit")


def test_one_way_at_a_time() -> None:
    with pytest.raises(InputError, match="--device-map and --model-memory are both given"):
        RunOptions(device_map="auto", model_memory="2GB")
