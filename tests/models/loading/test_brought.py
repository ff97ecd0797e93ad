"""What a folder brings beside its weights: used, or refused by name; coefficients are compared with plain hooks."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffmem import InputError, ModelError, load_model
from ffmem.models.transformer import Transformer
from tests.models.test_registry import change_config, change_weights

Folder = Callable[[str], Path]
CopyOf = Callable[[str], Path]
WEIGHTS = "model.safetensors"
TOKENS = torch.tensor([[0, 17, 42, 99, 5, 73, 7]])


@pytest.fixture
def copy_of(tiny_folder: Folder, tmp_path: Path) -> CopyOf:
    """The folder of a variant that one may change."""
    return lambda variant: Path(shutil.copytree(tiny_folder(variant), tmp_path / variant))


def coefficients(model: Transformer) -> torch.Tensor:
    """Of all layers, as the view reports them."""
    seen: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, found: seen.append(found.clone())):
        model.forward(TOKENS)
    return torch.stack(seen)


def plain_coefficients(module: torch.nn.Module, ending: str, **more: object) -> torch.Tensor:
    """The same by hooks on the modules whose path ends so, in a plain call of the model."""
    seen: list[torch.Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        for name, part in module.named_modules()
        if name.endswith(ending)
    ]
    with torch.no_grad():
        module.eval()(input_ids=TOKENS, **more)
    for hook in hooks:
        hook.remove()
    return torch.stack([one.view(1, TOKENS.shape[1], -1) for one in seen])


# Adapters

LORAS = {
    "lora": {"target_modules": ["q_proj", "down_proj", "gate_proj"]},
    "rslora": {"target_modules": ["up_proj"], "use_rslora": True, "lora_alpha": 3},
    "dora": {"target_modules": ["down_proj", "up_proj", "v_proj"], "use_dora": True},
    "whole modules": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "norm"]},
    "embedding": {"target_modules": ["embed_tokens", "down_proj"]},
    "patterns": {"target_modules": ["gate_proj", "down_proj"], "rank_pattern": {"down_proj": 3}},
}  # fmt: skip


def with_peft(base: object, config: object) -> Any:
    import peft

    with warnings.catch_warnings():  # of peft 0.21, about a name that transformers is to drop
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(base, config)


def beside(folder: Path, save_to: Path, config: object) -> Any:
    """Peft's own model of a folder with a random adapter, which is saved."""
    from transformers import AutoModelForCausalLM

    model = with_peft(AutoModelForCausalLM.from_pretrained(folder), config)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    with warnings.catch_warnings():  # it saves an adapted embedding, and says so
        warnings.simplefilter("ignore", UserWarning)
        model.save_pretrained(save_to)
    return model


@pytest.mark.parametrize("kind", LORAS)
def test_an_adapter_is_merged_as_peft_runs_it(kind: str, copy_of: CopyOf, tmp_path: Path) -> None:
    import peft

    base, adapter = copy_of("llama"), tmp_path / "adapter"
    plain = load_model(base)
    model = beside(base, adapter, peft.LoraConfig(r=4, task_type="CAUSAL_LM", **LORAS[kind]))
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    loaded = load_model(adapter)
    # a wrapped matrix has an adapter's parts below it: what it is called with is what the whole of it multiplies
    expected = plain_coefficients(model, "mlp.down_proj")
    assert torch.allclose(coefficients(loaded), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(loaded.logits(TOKENS), model(input_ids=TOKENS).logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(coefficients(loaded), coefficients(plain), rtol=1e-2)
    assert loaded.origin.identity["adapter"] == "LORA" and len(loaded.origin.identity["adapter_sha256"]) == 64
    assert loaded.weights_hash() != plain.weights_hash()


def test_an_adapter_beside_its_model_is_merged(copy_of: CopyOf, tmp_path: Path) -> None:
    import peft

    base = copy_of("llama")
    model = beside(base, tmp_path / "adapter", peft.LoraConfig(r=4, target_modules=["down_proj", "up_proj"]))
    alone = load_model(tmp_path / "adapter").weights_hash()
    for file in (tmp_path / "adapter").glob("adapter_*"):
        shutil.copy(file, base)
    loaded = load_model(base)
    assert torch.allclose(coefficients(loaded), plain_coefficients(model, "mlp.down_proj"), rtol=1e-4, atol=1e-5)
    assert loaded.weights_hash() == alone
    # as if the merged model had been saved over its adapter
    other = Path(shutil.copytree(base, tmp_path / "other"))
    change_weights(other, lambda weights: weights["model.layers.0.mlp.down_proj.weight"].mul_(2))
    (base / "adapter_config.json").rename(base / "x")
    with pytest.raises(InputError, match=r"two sets of weights that differ|its weights are not those of"):
        load_model(other)


def test_a_pickled_adapter_and_one_for_t5(copy_of: CopyOf, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForSeq2SeqLM

    base, adapter = copy_of("t5"), tmp_path / "adapter"
    model = with_peft(
        AutoModelForSeq2SeqLM.from_pretrained(base), peft.LoraConfig(r=2, target_modules=["wi", "wo", "v"])
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(adapter)
    weights = load_file(adapter / "adapter_model.safetensors")
    torch.save(weights, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    loaded = load_model(adapter)
    start = torch.cat((torch.zeros(1, 1, dtype=torch.long), TOKENS), 1)
    with torch.no_grad():
        expected = model(input_ids=TOKENS, decoder_input_ids=start).logits[:, 1:]
        assert torch.allclose(loaded.logits(TOKENS, torch.ones_like(TOKENS)), expected, rtol=1e-4, atol=1e-4)


def refuse_ia3(adapter: Path) -> None:
    change_adapter(adapter, peft_type="IA3")


def refuse_prompts(adapter: Path) -> None:
    change_adapter(adapter, peft_type="PROMPT_TUNING")


def refuse_unknown(adapter: Path) -> None:
    change_adapter(adapter, peft_type="LORA_OF_TOMORROW")


def refuse_adapterhub(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text('{"config": {"reduction_factor": 16}, "model_name": "x"}')


def refuse_replication(adapter: Path) -> None:
    change_adapter(adapter, layer_replication=[[0, 2], [1, 3]])


def refuse_pissa(adapter: Path) -> None:
    change_adapter(adapter, init_lora_weights="pissa")


def refuse_without_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()


def refuse_other_modules(adapter: Path) -> None:
    change_adapter(adapter, target_modules=["up_proj"])


def refuse_other_rank(adapter: Path) -> None:
    change_adapter(adapter, r=8)


def refuse_a_stray_tensor(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(iter(weights)).replace(".0.", ".7.", 1)
    save_file(weights | {name: torch.ones(2, 2)}, adapter / "adapter_model.safetensors")


def change_adapter(adapter: Path, **changes: object) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (refuse_ia3, r"of the kind IA3, which scales coefficients"),
        (refuse_prompts, r"PROMPT_TUNING, which adds to what the model reads"),
        (refuse_unknown, r"a kind that this peft does not know: LORA_OF_TOMORROW"),
        (refuse_adapterhub, r"is not of peft"),
        (refuse_replication, r"replicates layers"),
        (refuse_pissa, r"init_lora_weights is 'pissa'"),
        (refuse_without_weights, r"holds adapter_config\.json, and not the adapter's weights"),
        (refuse_other_modules, r"does not fit its model|cannot be merged"),
        (refuse_other_rank, r"cannot be merged into its model"),
        (refuse_a_stray_tensor, r"does not fit its model"),
    ],
)
def test_adapters_that_are_not_merged_are_refused(
    change: Callable[[Path], None], told: str, copy_of: CopyOf, tmp_path: Path
) -> None:
    import peft

    base = copy_of("llama")
    beside(base, tmp_path / "adapter", peft.LoraConfig(r=4, target_modules=["down_proj"]))
    change(tmp_path / "adapter")
    with pytest.raises(InputError, match=told) as raised:
        load_model(tmp_path / "adapter")
    assert raised.value.mend


def test_adapters_that_nobody_chose_are_refused(copy_of: CopyOf) -> None:
    base = copy_of("llama")
    (base / "german").mkdir()
    (base / "german" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"brings an adapter in a folder below it: german.*give .*german"):
        load_model(base)
    shutil.rmtree(base / "german")
    for name in ("pytorch_adapter.bin", "adapter_model.safetensors", "adapters.safetensors", "head_config.json"):
        (base / name).write_bytes(b"x")
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            load_model(base)
        (base / name).unlink()
    load_model(base)


def test_without_peft(copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    base = copy_of("llama")
    (base / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        InputError, match=r"brings an adapter \(LORA\).*extra 'adapters'.*pip install -e '\.\[adapters\]'"
    ):
        load_model(base)


def test_an_adapter_without_the_name_of_its_model(copy_of: CopyOf, tmp_path: Path) -> None:
    import peft

    beside(copy_of("llama"), tmp_path / "adapter", peft.LoraConfig(r=4, target_modules=["down_proj"]))
    change_adapter(tmp_path / "adapter", base_model_name_or_path=None)
    with pytest.raises(InputError, match=r"does not name the model that it belongs to.*copy the adapter's files"):
        load_model(tmp_path / "adapter")


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
    with pytest.raises(InputError, match=r"--architecture is 'Llama'\. Expected one of: Bert.*LlamaForCausalLM"):
        load_model(copy_of("llama"), architecture="Llama")


# Quantisation


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json", "hf_quant_config.json"])
def test_quantisation_that_the_config_does_not_tell(name: str, copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    (folder / name).write_text('{"bits": 4}')
    with pytest.raises(InputError, match=rf"{name} in .* says that its weights are quantised"):
        load_model(folder)


def test_weights_that_are_whole_numbers(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    name = "model.layers.1.mlp.down_proj.weight"
    change_weights(folder, lambda weights: weights.update({name: (weights[name] * 50).to(torch.int8)}))
    with pytest.raises(InputError, match=rf"{name} in .* is stored as int8"):
        load_model(folder)


# Tensors without a place, and places without a tensor


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.3.mlp.down_proj.weight",
        "model.layers.0.mlp.down_proj.bias",
        "model.layers.0.mlp.down_proj.lora_A.weight",
        "model.layers.0.mlp.down_proj.weight_scale",
        "model.layers.1.adapter.down.weight",
        "model.memory.keys",
    ],
)
def test_a_tensor_without_a_place_is_refused(name: str, copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_weights(folder, lambda weights: weights.update({name: torch.ones(3)}))
    with pytest.raises(ModelError) as raised:
        load_model(folder)
    assert f"hold 1 weights that the model has no place for: {name}" in raised.value.got


def test_constants_are_passed_over_and_heads_are_told(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    before = load_model(folder).weights_hash()
    more = (
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "score.weight",
        "v_head.summary.weight",
        "v_head.summary.bias",
    )
    change_weights(folder, lambda weights: weights.update({name: torch.ones(3) for name in more}))
    model = load_model(folder)
    assert model.origin.unused == {"score": 1, "v_head": 2} and model.weights_hash() == before


@pytest.mark.parametrize("variant", ["bert_headless", "roberta_headless"])
def test_a_pooler_that_no_file_holds_is_in_no_hash(variant: str, copy_of: CopyOf) -> None:
    folder = copy_of(variant)
    with_pooler = load_model(folder)
    assert any("pooler" in name for name, _ in with_pooler.module.named_parameters())  # in the hash, as it always was
    change_weights(folder, lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])
    first, second = load_model(folder), load_model(folder)
    assert first.weights_hash() == second.weights_hash() != with_pooler.weights_hash()
    assert torch.equal(coefficients(first), coefficients(with_pooler))


def test_a_pooler_in_part_is_left_out_whole(copy_of: CopyOf) -> None:
    folder = copy_of("bert_headless")
    change_weights(folder, lambda weights: weights.pop("pooler.dense.bias"))
    model = load_model(folder)
    assert not any("pooler" in name for name, _ in model.module.named_parameters())
    assert model.weights_hash() == load_model(folder).weights_hash()


# Heads that are tied, and that are not


def test_a_head_that_is_tied_and_differs(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_config(folder, tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"ties lm_head\.weight to model\.embed_tokens\.weight .*two that differ"):
        load_model(folder)
    change_config(folder, tie_word_embeddings=False)
    head = load_file(folder / WEIGHTS)["lm_head.weight"]
    assert torch.equal(load_model(folder).module.lm_head.weight, head)
    change_weights(
        folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()})
    )
    change_config(folder, tie_word_embeddings=True)
    load_model(folder)


def test_a_head_that_is_neither_tied_nor_there(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(ModelError, match=r'lack weights: lm_head\.weight.*write "tie_word_embeddings": true'):
        load_model(folder)
    change_config(folder, tie_word_embeddings=True)
    model = load_model(folder)
    assert torch.equal(model.module.lm_head.weight, model.module.model.embed_tokens.weight)


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
