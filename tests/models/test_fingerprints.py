"""What tells two models apart: bytes of weights, settings and tokenizers, and nothing of where they lie."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from transformers import GPT2Config, LlamaConfig

from ffmem import load_model
from ffmem.models.fingerprints import config_hash, tokenizer_hash, weights_hash
from tests.conftest import VARIANTS, byte_level_tokenizer
from tests.models.test_registry import change_weights

Folder = Callable[[str], Path]


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A model's folder that one may damage."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "llama"))


def test_the_hash_is_of_names_shapes_types_and_bytes_in_order(tiny_folder: Folder) -> None:
    """From the file, without torch: whoever has the weights can work it out."""
    digest = hashlib.sha256()
    for name, weights in sorted(load_file(tiny_folder("llama") / "model.safetensors").items()):
        assert weights.dtype == np.float32
        digest.update(f"{name} {weights.shape} torch.float32\n".encode() + weights.tobytes())
    assert load_model(tiny_folder("llama")).weights_hash() == digest.hexdigest()


def test_weights_that_are_shared_count_once_and_views_as_what_they_show() -> None:
    module = nn.ModuleDict({"one": nn.Linear(3, 2, bias=False), "two": nn.Linear(3, 2, bias=False)})
    apart = weights_hash(module)
    module["two"].weight = module["one"].weight
    assert weights_hash(module) == weights_hash(nn.ModuleDict({"one": module["one"]})) != apart
    turned = nn.ModuleDict({"one": nn.Linear(3, 2, bias=False)})
    turned["one"].weight = nn.Parameter(module["one"].weight.detach().T.contiguous().T)  # another order in memory
    assert weights_hash(turned) == weights_hash(module)


def test_equal_bytes_of_another_shape_or_type_are_other_weights() -> None:
    hashes = {
        weights_hash(nn.ParameterDict({"one": nn.Parameter(torch.zeros(shape, dtype=kind))}))
        for shape, kind in (((2, 3), torch.float32), ((3, 2), torch.float32), ((6,), torch.float32),
                            ((2, 6), torch.float16), ((2, 6), torch.bfloat16))
    }  # fmt: skip
    assert len(hashes) == 5


def test_a_config_is_known_by_its_settings_and_not_by_where_it_came_from() -> None:
    config = GPT2Config(n_layer=2)
    before = config_hash(config)
    for changes in ({"_name_or_path": "elsewhere"}, {"transformers_version": "3.0"}):
        other = GPT2Config(n_layer=2)
        for name, value in changes.items():
            setattr(other, name, value)
        assert config_hash(other) == before, changes
    for changes in ({"n_layer": 3}, {"layer_norm_epsilon": 1e-6}, {"activation_function": "relu"}, {"new": [1]}):
        assert config_hash(GPT2Config(**{"n_layer": 2} | changes)) != before, changes
    assert config_hash(LlamaConfig()) != config_hash(GPT2Config())


def test_the_order_of_settings_does_not_count(tmp_path: Path) -> None:
    GPT2Config(n_layer=2, n_embd=48).save_pretrained(tmp_path)
    before = config_hash(GPT2Config.from_pretrained(tmp_path))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dict(reversed(json.loads(file.read_text()).items()))))
    assert config_hash(GPT2Config.from_pretrained(tmp_path)) == before


def test_a_tokenizer_is_known_by_its_definition() -> None:
    one, same, other = (byte_level_tokenizer(by_itself) for by_itself in (True, True, False))
    assert tokenizer_hash(one) == tokenizer_hash(same) != tokenizer_hash(other)
    definition = one.backend_tokenizer.to_str()  # type: ignore[attr-defined]
    assert tokenizer_hash(one) == hashlib.sha256(definition.encode()).hexdigest()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_hash_of_weights_is_of_what_was_read_not_of_where(
    variant: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    folder = tiny_folder(variant)
    moved = Path(shutil.copytree(folder, tmp_path / "another-name"))
    model, same = load_model(folder), load_model(moved)
    assert model.weights_hash() == same.weights_hash() == model.weights_hash()
    assert model.tokenizer_hash() == same.tokenizer_hash()
    assert len(model.weights_hash()) == 64


def test_the_hash_of_weights_changes_with_one_bit_of_any_weight(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))

    def hash_anew() -> str:
        model.__dict__.pop("_weights_hash", None)  # it is kept, since nothing but this test changes weights
        return model.weights_hash()

    whole = hash_anew()
    for name, parameter in model.module.named_parameters():
        bits = parameter.data.view(-1)[-1:].view(torch.int32)
        bits ^= 1
        assert hash_anew() != whole, name
        bits ^= 1
    assert hash_anew() == whole


def test_the_hash_of_weights_changes_with_their_type_and_their_names(copy: Path, tiny_folder: Folder) -> None:
    whole = load_model(copy).weights_hash()
    assert load_model(copy, dtype="bfloat16").weights_hash() != whole
    names = ("model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight")
    change_weights(copy, lambda weights: weights.update({names[0]: weights[names[1]], names[1]: weights[names[0]]}))
    assert load_model(copy).weights_hash() != whole  # the same bytes, in other places


def test_the_hash_of_the_tokenizer_changes_with_it(copy: Path) -> None:
    model = load_model(copy)
    before = model.tokenizer_hash()
    model.tokenizer.add_tokens(["one-more"])
    assert model.tokenizer_hash() != before
