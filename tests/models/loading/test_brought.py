"""What a folder brings beside its weights: used, or refused by name; coefficients are compared with plain hooks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from tests.models.loading.asked import TOKENS, coefficients
from tests.models.test_registry import change_config

Folder = Callable[[str], Path]
CopyOf = Callable[[str], Path]


def test_adapters_that_nobody_chose_are_refused(copy_of: CopyOf) -> None:
    base = copy_of("llama")
    (base / "german").mkdir()
    (base / "german" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"has an adapter in a folder below it: german.*give .*german"):
        load_model(base)
    shutil.rmtree(base / "german")
    for name in ("pytorch_adapter.bin", "adapter_model.safetensors", "adapters.safetensors", "head_config.json"):
        (base / name).write_bytes(b"x")
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            load_model(base)
        (base / name).unlink()
    load_model(base)


# Code

CODE = """
from transformers import LlamaForCausalLM, LlamaConfig
from pathlib import Path
Path({mark!r}).write_text("run")

class Config(LlamaConfig):
    pass

class Model(LlamaForCausalLM):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.model.embed_tokens.register_forward_hook(lambda module, inputs, output: output * 2)
"""


@pytest.fixture
def with_code(copy_of: CopyOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Llama whose own code doubles the embedding."""
    folder = copy_of("llama")
    (folder / "modeling_own.py").write_text(CODE.format(mark=str(tmp_path / "mark")))
    change_config(folder, auto_map={"AutoConfig": "modeling_own.Config", "AutoModelForCausalLM": "modeling_own.Model"})
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return folder


def test_code_is_not_run_and_not_passed_over(with_code: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_model(with_code)
    assert raised.value.got.startswith(f"config.json of {with_code} name")
    assert "--trust-remote-code" in raised.value.mend and "--architecture LlamaForCausalLM" in raised.value.mend
    plain = load_model(with_code, architecture="LlamaForCausalLM")
    assert not (tmp_path / "mark").exists()
    assert plain.origin.identity == {}
    change_config(with_code, auto_map=None)
    assert torch.equal(coefficients(load_model(with_code)), coefficients(plain))


def test_code_that_is_trusted_is_run(with_code: Path, tmp_path: Path) -> None:
    trusted = load_model(with_code, trust_remote_code=True)
    assert (tmp_path / "mark").read_text() == "run"
    assert len(trusted.origin.identity["code_sha256"]) == 64
    plain = load_model(with_code, architecture="LlamaForCausalLM")
    with torch.no_grad():
        plain.module.model.embed_tokens.weight *= 2
    assert torch.allclose(coefficients(trusted), coefficients(plain), atol=1e-6)


def test_a_tokenizer_of_its_own_code(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"auto_map": {"AutoTokenizer": [None, "own.Tokenizer"]}}))
    with pytest.raises(InputError, match=r"tokenizer_config\.json of .* code that comes with the model"):
        load_model(folder)
    load_model(folder, architecture="LlamaForCausalLM")


def test_an_architecture_that_is_not_known(copy_of: CopyOf) -> None:
    with pytest.raises(
        InputError, match=r"--architecture is 'Llama'\. Expected one of: .*BertForMaskedLM.*LlamaForCausalLM"
    ):
        load_model(copy_of("llama"), architecture="Llama")


# Quantisation


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json", "hf_quant_config.json"])
def test_quantisation_that_the_config_does_not_tell(name: str, copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    (folder / name).write_text('{"bits": 4}')
    with pytest.raises(InputError, match=rf"{name} in .* says that its weights are quantised"):
        load_model(folder)


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"return_dict": False},
        {"output_hidden_states": True, "output_attentions": True},
        {"use_cache": True},
        {"torchscript": True},
        {"chunk_size_feed_forward": 2},
        {"gradient_checkpointing": True},
        {"pretraining_tp": 2},
        {"problem_type": "no such type"},
        {"attn_implementation": "flash_attention_2"},
        {"_attn_implementation": "flash_attention_2"},
        {"dtype": "int8"},
        {"dtype": "no such type"},
        {"torch_dtype": 16},
        {"layerdrop": 0.9, "attention_dropout": 0.9, "hidden_dropout_prob": 0.9},
        {"num_labels": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("variant", ["llama", "bert"])
def test_settings_that_change_no_number(
    settings: dict[str, object], variant: str, copy_of: CopyOf, tiny_folder: Folder
) -> None:
    folder = copy_of(variant)
    change_config(folder, **settings)
    changed, plain = load_model(folder), load_model(tiny_folder(variant))
    assert torch.equal(coefficients(changed), coefficients(plain))
    assert torch.equal(changed.logits(TOKENS), plain.logits(TOKENS))


@pytest.mark.parametrize("name", ["is_decoder", "add_cross_attention"])
def test_an_encoder_that_is_to_be_a_decoder(name: str, copy_of: CopyOf) -> None:
    folder = copy_of("bert")
    change_config(folder, **{"is_decoder": False, name: True})
    with pytest.raises(InputError, match=rf"{name} is true in the config"):
        load_model(folder)


def test_heads_that_are_to_be_pruned(copy_of: CopyOf) -> None:
    folder = copy_of("bert")
    change_config(folder, pruned_heads={"0": [1]})
    with pytest.raises(InputError, match=r"names pruned_heads"):
        load_model(folder)


def test_settings_of_generation_are_not_read(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    (folder / "generation_config.json").write_text('{"temperature": "hot", "num_beams": -1}')
    load_model(folder)
