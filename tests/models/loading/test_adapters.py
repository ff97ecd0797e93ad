"""Adapters are merged into the weights as peft runs them beside the model, or refused by what they are."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffmem import InputError, load_model
from ffmem.models.loading.adapters import adapter_config, base_of, identity_of
from tests.models.loading.asked import TOKENS, coefficients, plain_coefficients
from tests.models.test_registry import change_weights

CopyOf = Callable[[str], Path]


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


def test_without_peft(copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    base = copy_of("llama")
    (base / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        InputError, match=r"holds an adapter \(LORA\).*extra 'adapters'.*pip install -e '\.\[adapters\]'"
    ):
        load_model(base)


def test_an_adapter_without_the_name_of_its_model(copy_of: CopyOf, tmp_path: Path) -> None:
    import peft

    beside(copy_of("llama"), tmp_path / "adapter", peft.LoraConfig(r=4, target_modules=["down_proj"]))
    change_adapter(tmp_path / "adapter", base_model_name_or_path=None)
    with pytest.raises(InputError, match=r"does not name the model that it belongs to.*copy the adapter's files"):
        load_model(tmp_path / "adapter")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\\xff"])
def test_a_config_that_cannot_be_read_is_told_and_may_be_moved_away(content: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match=r"adapter_config\.json cannot be read.*to index the model without it"):
        adapter_config(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(InputError, match=r"adapter_config\.json cannot be read"):
        adapter_config(tmp_path)


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "orthogonal", "eva", "olora", "pissa_niter_4", 1.5])
def test_beginnings_that_leave_the_models_own_weights_alone(start: object, tmp_path: Path) -> None:
    written = {"peft_type": "LORA", "init_lora_weights": start, "r": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(written))
    if start in (True, False, None, "gaussian", "orthogonal"):
        assert adapter_config(tmp_path) == written
        return
    with pytest.raises(InputError, match=r"began with changing the model's own weights") as raised:
        adapter_config(tmp_path)
    assert repr(start) in raised.value.got and "path_initial_model_for_weight_conversion" in raised.value.mend


def test_the_model_below_an_adapter_and_its_revision(tmp_path: Path) -> None:
    name = "base_model_name_or_path"
    (tmp_path / "model").mkdir()
    assert base_of(tmp_path, {name: "org/model", "revision": "v2"}) == ("org/model", "v2")
    assert base_of(tmp_path, {name: "org/model", "revision": None}) == ("org/model", None)
    # a folder beside the adapter is meant, unless there is one of that name where we are
    assert base_of(tmp_path, {name: "model"}) == (str(tmp_path / "model"), None)
    assert base_of(tmp_path, {name: str(tmp_path / "model")}) == (str(tmp_path / "model"), None)
    for none in ({}, {name: ""}, {name: None}, {name: 3}):
        with pytest.raises(InputError, match=r"does not name the model that it belongs to"):
            base_of(tmp_path, none)


def test_an_adapter_is_known_by_its_files_and_not_by_where_they_lie(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text('{"r": 4}')
        save_file({"a": torch.arange(3.0)}, tmp_path / name / "adapter_model.safetensors")
    one, two = (identity_of(tmp_path / name, {"peft_type": "LORA"}) for name in ("one", "two"))
    assert one == two and one["adapter"] == "LORA" and len(one["adapter_sha256"]) == len(hashlib.sha256().hexdigest())
    save_file({"a": torch.arange(3.0) + 1e-3}, tmp_path / "two" / "adapter_model.safetensors")
    other_weights = identity_of(tmp_path / "two", {"peft_type": "LORA"})["adapter_sha256"]
    shutil.copy(tmp_path / "one" / "adapter_model.safetensors", tmp_path / "two")
    (tmp_path / "two" / "adapter_config.json").write_text('{"r": 8}')
    other_config = identity_of(tmp_path / "two", {"peft_type": "LORA"})["adapter_sha256"]
    assert len({one["adapter_sha256"], other_weights, other_config}) == 3
