"""Models that no file names, through the front door: what an index, a changed coefficient and a map make of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    GraniteConfig,
    GraniteForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)

import ffmem
from ffmem.analyses.attention.one_map import one_map
from ffmem.analyses.explain import explain
from ffmem.analyses.flow import flow
from ffmem.analyses.intervene import intervene
from ffmem.analyses.lens import lens
from ffmem.models.description import describe
from ffmem.models.structure.refusal import NotProvenError
from ffmem.models.transformer import Transformer
from ffmem.render import structure as as_text
from tests.conftest import IN_PROCESS, byte_level_tokenizer, write_corpus
from tests.fixtures.shared import MakeOnce
from tests.models.structure.mutants import SIZES, drawn

_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "mlp_only_layers": [1]}
MODELS: dict[str, Callable[[], Any]] = {
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**SIZES, pad_token_id=1, vocab_size=402)),
    "granite": lambda: GraniteForCausalLM(
        GraniteConfig(**SIZES, residual_multiplier=0.3, logits_scaling=4.0, vocab_size=402)
    ),
    "qwen2_moe": lambda: Qwen2MoeForCausalLM(
        Qwen2MoeConfig(**SIZES, **_EXPERTS, shared_expert_intermediate_size=48, vocab_size=402)
    ),
    "mamba": lambda: MambaForCausalLM(MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=402)),
}
TEXT = "the quick brown fox jumps over"


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


@pytest.fixture(scope="module")
def folder(make_once: MakeOnce) -> Callable[[str], Path]:
    def write(path: Path, name: str) -> None:
        torch.manual_seed(3)
        drawn(MODELS[name]()).save_pretrained(path)
        byte_level_tokenizer(False).save_pretrained(path)  # type: ignore[attr-defined]

    return lambda name: make_once(f"structure/{name}", lambda path: write(path, name))


@pytest.fixture(scope="module")
def models(folder: Callable[[str], Path]) -> Callable[[str], Transformer]:
    return cache(lambda name: ffmem.load_model(folder(name)))


def test_shared_cells_stand_behind_the_experts(models: Callable[[str], Transformer]) -> None:
    """48 shared cells beside experts of 24 are two more groups, whose coefficient has the shared gate in it."""
    model = models("qwen2_moe")
    assert [(one.d_ff, one.n_experts) for one in model.facts.layers] == [(24, 6), (24, 0), (24, 6)]
    mlp = model.module.model.layers[0].mlp
    ids = torch.tensor([model.tokenizer(TEXT).input_ids])
    seen: dict[str, Tensor] = {}
    hooks = [
        mlp.register_forward_pre_hook(lambda _, given: seen.update(x=given[0][0])),
        mlp.register_forward_hook(
            lambda _, __, output: seen.update(y=(output if isinstance(output, Tensor) else output[0])[0])
        ),
    ]
    with model.watch_coefficients(lambda layer, m: seen.update({f"m{layer}": m[0].clone()})):
        model.forward(ids)
    for hook in hooks:
        hook.remove()
    x, shared = seen["x"], mlp.shared_expert
    own = torch.nn.functional.silu(x @ shared.gate_proj.weight.T) * (x @ shared.up_proj.weight.T)
    gate = torch.sigmoid(x @ mlp.shared_expert_gate.weight.T)
    assert torch.allclose(seen["m0"][:, 96:], own * gate, atol=1e-5)
    assert torch.equal(model.values(0)[96:], shared.down_proj.weight.T)
    assert torch.allclose(seen["m0"] @ model.values(0), seen["y"], atol=1e-4)


@pytest.mark.parametrize("row", [3, 100, 140])
def test_a_changed_coefficient_is_worth_its_value(row: int, models: Callable[[str], Transformer]) -> None:
    """Of an expert, and of shared cells: the output of the mixture moves by the difference times the value."""
    model = models("qwen2_moe")
    ids = torch.tensor([model.tokenizer(TEXT).input_ids])
    outputs: list[Tensor] = []
    hook = model.module.model.layers[2].register_forward_hook(lambda _, __, output: outputs.append(first(output)))

    def change(layer: int, m: Tensor) -> Tensor | None:
        if layer != 2:
            return None
        other = m.clone()
        other[..., row] += 0.5
        return other

    model.forward(ids)
    with model.change_coefficients(change):
        model.forward(ids)
    hook.remove()
    moved = outputs[1] - outputs[0]
    assert torch.allclose(moved, (0.5 * model.values(2)[row]).expand(moved.shape), atol=1e-4)


def test_an_explanation_adds_up_through_multipliers(models: Callable[[str], Transformer]) -> None:
    model = models("granite")
    assert model.layout(0).update_scale == pytest.approx(0.3)
    explained = explain(model, TEXT)
    with torch.no_grad():
        own = model.module(torch.tensor([model.tokenizer(TEXT).input_ids])).logits[0, -1]
    assert explained.own == pytest.approx(float(own.max()), abs=1e-4)
    assert explained.error < 1e-3
    assert torch.allclose(model.value_rows(1), 0.3 * model.module.model.layers[1].mlp.down_proj.weight.T)


def test_a_prediction_without_a_token_is_told_by_its_id(folder: Callable[[str], Path]) -> None:
    """Matrices are rounded up: a model has scores for ids that its tokenizer has no token for, and may prefer one."""
    model = ffmem.load_model(folder("olmo2"))
    last = model.facts.d_vocab - 1
    assert last not in model.tokenizer.get_vocab().values()
    module, told = model.module, f"<id {last}>"
    with torch.no_grad():  # the row that the last state looks at most
        state = module.model(torch.tensor([model.tokenizer(TEXT).input_ids])).last_hidden_state[0, -1]
        module.lm_head.weight[last] = 1000 * state
    explained = explain(model, TEXT)
    assert (explained.target, explained.target_id, explained.likely[0].token) == (told, last, told)
    assert flow(model, TEXT).target == told and lens(model, TEXT).boxes[-1][-1].token == told
    assert one_map(model, TEXT, target=f"id:{last}").target == told
    tried = intervene(model, TEXT, [], n_new=3)
    assert tried.candidates[0].token == told and tried.continued.startswith(told)


@pytest.mark.parametrize("name", ["olmo2", "granite"])
def test_parts_of_one_map_add_up(name: str, models: Callable[[str], Transformer]) -> None:
    """OLMo 2's layers have no norm before; Granite multiplies what attention and memories add."""
    found = one_map(models(name), TEXT)
    assert found.stream_error < 1e-5 and found.score_error is not None and found.score_error < 1e-3


def test_the_description_says_where_everything_is(models: Callable[[str], Transformer]) -> None:
    told = describe(models("olmo2"))
    (kind,) = told["kinds"]
    assert kind["memories"] == "a(mlp.gate_proj) x mlp.up_proj -> mlp.down_proj"
    assert kind["stream"] == "o = r + post_feedforward_layernorm(y), y of r"
    assert told["read_by"] == "its structure" and max(told["errors"].values()) < 1e-5
    text = as_text(told)
    assert "L0 to L2 of model.layers" in text and "norm -> unembedding" in text


def test_a_refusal_has_what_a_report_needs(models: Callable[[str], Transformer]) -> None:
    with pytest.raises(NotProvenError, match=r"\(MambaForCausalLM\) is proven: no layer has a matrix") as refused:
        models("mamba")
    assert "--structure" in refused.value.mend
    assert "backbone.layers.*.mixer.in_proj = Linear: weight [128, 32]" in refused.value.modules


def test_an_index_says_what_was_found(folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 15)
    index = ffmem.build_index(
        folder("qwen2_moe"),
        corpus,
        tmp_path / "index",
        options=ffmem.IndexOptions(top=5, promoted=5),
        run=IN_PROCESS,
    )
    found = ffmem.open_index(tmp_path / "index").manifest.certificate.json["structure"]
    assert found["read_by"] == "its structure" and "shared_expert.down_proj" in found["kinds"][0]["memories"]
    assert found["errors_of_the_search"]["stream"] < 1e-5
    cell = ffmem.open_index(tmp_path / "index").cells.parse("L0.e5.23")
    assert cell in index.cells


def test_tokens_of_few_numbers_are_read_as_they_enter_the_stream(tmp_path: Path) -> None:
    """ALBERT's embedding is narrower than its stream; one module is run as three layers."""
    config = AlbertConfig(**SIZES | {"pad_token_id": 1}, embedding_size=16, type_vocab_size=1, vocab_size=402)
    torch.manual_seed(3)
    drawn(AlbertForMaskedLM(config)).save_pretrained(tmp_path)
    byte_level_tokenizer(False).save_pretrained(tmp_path)  # type: ignore[attr-defined]
    model = ffmem.load_model(tmp_path)
    albert = model.module.albert
    tokens = albert.embeddings.word_embeddings.weight @ albert.encoder.embedding_hidden_mapping_in.weight.T
    assert torch.allclose(model.projection_matrix("raw"), tokens, atol=1e-5)
    seen: list[Tensor] = []
    hook = (
        albert.encoder.albert_layer_groups[0]
        .albert_layers[0]
        .ffn_output.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    )
    found: dict[int, Tensor] = {}
    ids = torch.tensor([model.tokenizer(TEXT).input_ids])
    with model.watch_coefficients(lambda layer, m: found.update({layer: m.clone()})):
        model.forward(ids, torch.ones_like(ids))
    hook.remove()
    assert [torch.equal(found[layer], seen[layer]) for layer in range(3)] == [True] * 3
