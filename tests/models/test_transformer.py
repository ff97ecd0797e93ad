"""The view of a loaded model against its file and against the library's own calls."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ffmem import InputError, ModelError, load_model
from ffmem.models.base import Batching
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
Loaded = Callable[[str], Transformer]
IDS = torch.randint(5, 100, (2, 7), generator=torch.Generator().manual_seed(0))
SAVED = {
    "gpt2": ("transformer.h.{}.mlp.c_fc.weight", "transformer.h.{}.mlp.c_proj.weight"),
    "opt": ("model.decoder.layers.{}.fc1.weight", "model.decoder.layers.{}.fc2.weight"),
    "bloom": ("transformer.h.{}.mlp.dense_h_to_4h.weight", "transformer.h.{}.mlp.dense_4h_to_h.weight"),
    "bert": ("bert.encoder.layer.{}.intermediate.dense.weight", "bert.encoder.layer.{}.output.dense.weight"),
    "llama_biased": ("model.layers.{}.mlp.gate_proj.weight", "model.layers.{}.mlp.down_proj.weight"),
}


@pytest.mark.parametrize("variant", SAVED)
def test_keys_and_values_are_the_matrices_of_the_file(variant: str, tiny_folder: Folder, loaded: Loaded) -> None:
    model, saved = loaded(variant), load_file(tiny_folder(variant) / "model.safetensors")
    for number in range(3):
        first, second = (path.format(number) for path in SAVED[variant])
        keys = model.gate_keys(number) if model.facts.gated else model.keys(number)
        # Conv1D of GPT-2 is saved as (inputs, outputs), all others as (outputs, inputs)
        assert torch.equal(keys, saved[first].T if variant == "gpt2" else saved[first])
        assert torch.equal(model.values(number), saved[second] if variant == "gpt2" else saved[second].T)
        key_bias = model.key_bias(number)
        assert key_bias is not None and torch.equal(key_bias, saved[first.replace("weight", "bias")])
        assert torch.equal(model.value_bias(number), saved[second.replace("weight", "bias")])
        if model.facts.gated:
            up, up_bias = first.replace("gate", "up"), model.up_bias(number)
            assert torch.equal(model.up_keys(number), saved[up])
            assert up_bias is not None and torch.equal(up_bias, saved[up.replace("weight", "bias")])


def test_a_family_without_biases_has_none_or_zeros(loaded: Loaded) -> None:
    model = loaded("llama")
    assert model.key_bias(0) is None and model.up_bias(0) is None
    assert model.value_bias(0).tolist() == [0.0] * 32 and not (model.facts.key_bias or model.facts.value_bias)


def test_facts_are_those_of_the_config(loaded: Loaded) -> None:
    for variant, expected in {
        "gpt2": ("gpt2", "GPT2LMHeadModel", "gelu_new", False, "layernorm", "pre", False, True, 64),
        "llama": ("llama", "LlamaForCausalLM", "silu", True, "rmsnorm", "pre", False, True, 64),
        "gpt_neox": ("gpt_neox", "GPTNeoXForCausalLM", "gelu", False, "layernorm", "pre", True, True, 64),
        "bert": ("bert", "BertForMaskedLM", "gelu", False, "layernorm", "post", False, False, 64),
        "gemma2": ("gemma2", "Gemma2ForCausalLM", "gelu_pytorch_tanh", True, "rmsnorm", "sandwich", False, True, 64),
        "t5": ("t5", "T5ForConditionalGeneration", "relu", False, "rmsnorm", "pre", False, False, None),
    }.items():
        facts = loaded(variant).facts
        assert expected == (
            facts.family, facts.architecture, facts.activation, facts.gated, facts.norm, facts.norm_placement,
            facts.parallel, facts.causal, facts.max_length,
        )  # fmt: skip
        assert facts.d_vocab == loaded(variant).module.config.vocab_size and facts.dtype == "float32"


# Passes


@pytest.mark.parametrize("variant", ["gpt2", "llama", "bert"])
def test_a_pass_is_the_librarys(variant: str, loaded: Loaded) -> None:
    """Also with padding: on the right, and on the left of a causal model, where it moves the positions of the others."""
    model = loaded(variant)
    base = model.module.base_model
    masks = [torch.ones_like(IDS), torch.tensor([[1] * 7, [1, 1, 1, 1, 0, 0, 0]])]
    if model.facts.causal:
        masks.append(torch.tensor([[1] * 7, [0, 0, 0, 1, 1, 1, 1]]))
    for mask in masks:
        seen = mask.bool()
        with torch.no_grad():
            states = base(input_ids=IDS, attention_mask=mask).last_hidden_state
            logits = model.module(input_ids=IDS, attention_mask=mask).logits
            ours = model.logits(IDS, mask)
            assert ours is not None
            assert torch.allclose(model.forward(IDS, mask)[seen], states[seen], atol=1e-5)
            assert torch.allclose(ours[seen], logits[seen], atol=1e-4)


@pytest.mark.parametrize("variant", ["t5", "marian"])
def test_a_decoder_reads_what_it_is_given_or_the_text_itself(variant: str, loaded: Loaded) -> None:
    model = loaded(variant)
    start = torch.full((2, 1), model.module.config.decoder_start_token_id)
    target = torch.cat((start, torch.tensor([[9, 8, 7], [6, 5, 9]])), dim=1)
    with torch.no_grad():
        named: dict[str, Any] = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "output_hidden_states": True}
        own = model.module(**named, decoder_input_ids=target)
        copied = model.module(**named, decoder_input_ids=torch.cat((start, IDS), dim=1))
        given, alone = model.logits(IDS, target_ids=target), model.logits(IDS)
        assert given is not None and alone is not None
        assert torch.allclose(given, own.logits, atol=1e-4)
        assert torch.allclose(model.forward(IDS, target_ids=target), own.decoder_hidden_states[-1], atol=1e-5)
        assert torch.allclose(alone, copied.logits[:, 1:], atol=1e-4)
        assert torch.allclose(model.forward(IDS), copied.decoder_hidden_states[-1][:, 1:], atol=1e-5)
    states = torch.arange(16.0).view(2, 4, 2)
    assert torch.equal(model.own_positions(0, states), states)
    assert torch.equal(model.own_positions(3, states), states[:, 1:])


def test_a_model_without_a_head_gives_no_logits(loaded: Loaded) -> None:
    model = loaded("bert_headless")
    assert not model.has_head and model.logits(IDS, torch.ones_like(IDS)) is None and loaded("bert").has_head


def test_what_a_proof_found_is_adopted(tiny_folder: Folder) -> None:
    """A model that changes with what it is given begins each pass as it was."""
    model = load_model(tiny_folder("gpt2"))
    layer = model.layer(0).module
    layer.register_buffer("n_passes", torch.zeros(1))
    layer.register_forward_hook(lambda _, __, output: (output[0] if isinstance(output, tuple) else output) * (
        1 + layer.n_passes.add_(1)))  # fmt: skip
    assert model.facts.causal and not torch.equal(model.forward(IDS), model.forward(IDS))
    model.adopt(Batching(causal=False, rows="alone", fresh=True))
    assert not model.facts.causal and model.batching.rows == "alone"
    first = model.forward(IDS)
    assert torch.equal(first, model.forward(IDS))
    hooks = len(model.module.base_model._forward_pre_hooks)
    model.adopt(Batching(causal=True, fresh=True))
    assert len(model.module.base_model._forward_pre_hooks) == hooks and model.facts.causal  # put back once, not twice


# Values on their way to the vocabulary


def test_values_reach_the_stream_through_the_norm_behind_them(loaded: Loaded) -> None:
    gemma = loaded("gemma2")
    for layer in range(3):
        gain = 1 + gemma.layer(layer).module.post_feedforward_layernorm.weight
        assert torch.allclose(gemma.value_rows(layer), gemma.values(layer) * gain, atol=1e-6)
    llama = loaded("llama")
    assert torch.equal(llama.value_rows(1), llama.values(1)) and llama.value_rows(1).is_contiguous()


def test_an_encoders_values_are_projected_raw(loaded: Loaded) -> None:
    model = loaded("t5")
    assert [model.projection_of(layer, "final-norm") for layer in range(6)] == ["raw"] * 3 + ["final-norm"] * 3
    assert loaded("gpt2").projection_of(0, "folded") == "folded"
    rows = model.value_rows(0)[:4]
    out = torch.empty(4, model.facts.d_vocab)
    model.scores("raw")(rows, out)
    assert torch.allclose(out, rows @ model.module.lm_head.weight.T, atol=1e-5)
    assert torch.equal(model.projection_matrix("raw"), model.module.lm_head.weight)
    assert torch.allclose(model.project(rows, "raw"), out, atol=1e-5)


# Tokens


@pytest.mark.parametrize(
    ("variant", "auto", "yes"),
    [
        ("gpt2", ((), ()), ((0,), ())),
        ("gpt_neox", ((), ()), ((0,), ())),
        ("llama", ((0,), ()), ((0,), ())),
        ("opt", ((0,), ()), ((0,), ())),
        ("gemma2", ((0,), ()), ((0,), ())),
        ("bert", ((2,), (3,)), None),
        ("roberta", ((0,), ()), ((0,), ())),
    ],
)
def test_special_tokens(
    variant: str, auto: tuple[tuple[int, ...], ...], yes: tuple[tuple[int, ...], ...] | None, loaded: Loaded
) -> None:
    model = loaded(variant)
    assert model.special_tokens("no") == ((), ())
    assert model.special_tokens("auto") == auto
    for text in ("the lazy dog", " 😀", "Soldiers"):
        before, after = model.special_tokens("auto")
        own = model.tokenizer(text, add_special_tokens=False).input_ids
        assert [*before, *own, *after] == model.tokenizer(text).input_ids
    if yes is not None:
        assert model.special_tokens("yes") == yes
        return
    with pytest.raises(InputError) as raised:
        model.special_tokens("yes")
    assert str(raised.value) == (
        "--bos is 'yes', but the tokenizer of bert has no BOS token. Expected auto or no for this model. Write --bos auto."
    )


def test_padding_is_an_id_that_the_model_has(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    assert model.pad_id == 1
    model.tokenizer.pad_token = None
    assert model.pad_id == 0
    model.tokenizer.add_special_tokens({"pad_token": "<more>"})  # as fine-tunes do, without a row in the embedding
    assert model.tokenizer.pad_token_id >= model.facts.d_vocab
    assert model.pad_id == 0


def test_a_token_without_a_row_is_told_by_name_and_sizes(loaded: Loaded, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gpt2"))
    n = len(model.tokenizer)
    model.check_tokens(n + 5)  # nothing is known to be missing
    model.n_embedded = n - 1
    model.check_tokens(n - 2)
    with pytest.raises(InputError) as raised:
        model.check_tokens(n - 1)
    token = model.tokenizer.convert_ids_to_tokens(n - 1)
    assert f"the token {token!r} of the text has the id {n - 1}" in raised.value.got
    assert f"gpt2 {n - 1} rows (its tokenizer knows {n} tokens)" in raised.value.got


def test_tokens_as_bytes_are_the_text(loaded: Loaded) -> None:
    model = loaded("gpt2")
    text = "naïve rivers 日本 😀\n"
    ids = model.tokenizer(text).input_ids
    assert b"".join(model.vocabulary[number] for number in ids).decode() == text
    assert len(model.vocabulary) == model.facts.d_vocab


# Faults, and the end


@pytest.mark.parametrize(("change", "told"), [
    ({"key": "self_attn.q_proj"}, r"the keys of layer L0 of gpt have the shape \(32, 32\)\. Expected 48 of 32 numbers"),
    ({"key": "fc2"}, r"the keys of layer L0 of gpt have the shape \(32, 48\)"),
])  # fmt: skip
def test_a_layout_that_does_not_fit_is_refused_at_once(change: dict[str, str], told: str, loaded: Loaded) -> None:
    model = loaded("opt")
    layout = replace(model.layout(0), **change)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=told + ".*docs/how-to/add-a-family.md"):
        Transformer("gpt", replace(model.family, layout=lambda _: layout), model.module, model.tokenizer)


def test_gated_cells_have_a_pair_of_keys_and_others_one(loaded: Loaded) -> None:
    with pytest.raises(ModelError, match=r"cells of llama are gated.*gate_keys\(layer\) or up_keys\(layer\)"):
        loaded("llama").keys(0)
    for ask in (loaded("gpt2").gate_keys, loaded("gpt2").up_keys, loaded("gpt2").up_bias):
        with pytest.raises(ModelError, match=r"cells of gpt2 are not gated\. Expected a call of keys\(layer\)"):
            ask(0)


def test_what_is_released_is_gone_and_who_it_was_stays(tiny_folder: Folder, loaded: Loaded) -> None:
    model = load_model(tiny_folder("gpt2"))
    facts, tokenizer = model.facts, model.tokenizer_hash()
    assert model.device == torch.device("cpu")
    model.release()
    assert {parameter.device.type for parameter in model.module.parameters()} == {"meta"}
    assert model.weights_hash() == loaded("gpt2").weights_hash()
    assert (model.facts, model.tokenizer_hash()) == (facts, tokenizer)
    assert model.config_hash() == loaded("gpt2").config_hash()
    assert isinstance(model.layer(0).output_module, nn.Module)
