"""Attention of models that no file names: what sources add is what the stream gains, by modules named by hand for each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ffmem
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.patches import patch_attention
from ffmem.analyses.attention.split import split_values
from ffmem.errors import ModelError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer
from tests.architectures.making import ARCHITECTURES, made, save, tokenizer_of
from tests.fixtures.shared import MakeOnce

TEXT = "the quick brown fox jumps over"


@dataclass(frozen=True)
class Truth:
    """Two modules of the model, by hand: the stream before a sub-layer is what the first reads, that behind what the second."""

    before: Callable[[Any, int], Any]
    behind: Callable[[Any, int], Any]
    layer: int = 0
    call: int = 0
    """Which run of these modules it is."""


def _llama(model: Any, n: int) -> Any:
    return model.model.layers[n]


_PRE = (lambda m, n: _llama(m, n).input_layernorm, lambda m, n: _llama(m, n).post_attention_layernorm)
_LIKE_BERT: dict[str, Callable[[Any, int], Any]] = {
    "mpnet": lambda m, n: m.mpnet.encoder.layer[n].attention,
    "deberta_v3": lambda m, n: m.deberta.encoder.layer[n].attention,
}
TRUTHS: dict[str, Truth] = {
    "granite": Truth(*_PRE),
    "gpt_oss": Truth(*_PRE),
    "deepseek_v2": Truth(*_PRE),
    "deepseek_v3": Truth(*_PRE, layer=1),
    "minicpm3": Truth(*_PRE),
    "mimo_v2_flash": Truth(*_PRE),
    "gemma4": Truth(
        lambda m, n: _llama(m, n).input_layernorm, lambda m, n: _llama(m, n).pre_feedforward_layernorm, layer=1
    ),
    "mpnet": Truth(lambda m, n: _LIKE_BERT["mpnet"](m, n).attn.q, lambda m, n: _LIKE_BERT["mpnet"](m, n).LayerNorm),
    "deberta_v3": Truth(
        lambda m, n: _LIKE_BERT["deberta_v3"](m, n).self.query_proj,
        lambda m, n: _LIKE_BERT["deberta_v3"](m, n).output.LayerNorm,
    ),
    "albert": Truth(
        lambda m, _: m.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.query,
        lambda m, _: m.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.LayerNorm,
        layer=1,
        call=1,
    ),
    "gpt1": Truth(lambda m, n: m.transformer.h[n].attn.c_attn, lambda m, n: m.transformer.h[n].ln_1),
}


@pytest.fixture(scope="module")
def models(make_once: MakeOnce) -> Callable[[str], Transformer]:
    def load(name: str) -> Transformer:
        architecture = ARCHITECTURES[name]

        def write(path: Path) -> None:
            save(architecture, made(architecture), path)

        return ffmem.load_model(make_once(f"architectures/{name}", write))

    return cache(load)


def _ids(name: str) -> Tensor:
    return torch.tensor([tokenizer_of(ARCHITECTURES[name].tokenizer)(TEXT).input_ids])


def _inputs(model: Any, modules: tuple[Any, Any], call: int, run: Callable[[], Any]) -> tuple[Tensor, Tensor]:
    """What two modules are given in one of their runs."""
    seen: tuple[list[Tensor], list[Tensor]] = ([], [])

    def note(into: list[Tensor]) -> Callable[..., None]:
        return lambda _, given, named: into.append((*given, *named.values())[0].clone())

    handles = [
        module.register_forward_pre_hook(note(into), with_kwargs=True)
        for module, into in zip(modules, seen, strict=True)
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return seen[0][call][0], seen[1][call][0]


@torch.no_grad()
@pytest.mark.parametrize("name", TRUTHS)
def test_what_sources_add_is_what_the_stream_gains(name: str, models: Callable[[str], Transformer]) -> None:
    model, truth = models(name), TRUTHS[name]
    ids, layers = _ids(name), model.attention_layers  # which are looked for before a module is hooked
    seen: dict[int, tuple[AttentionLayer, AttentionStates]] = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        seen[layer.place] = (layer, states)

    def run() -> None:
        with model.watch_attention(keep, layers):
            model.forward(ids)

    modules = (truth.before(model.module, truth.layer), truth.behind(model.module, truth.layer))
    before, behind = _inputs(model.module, modules, truth.call, run)
    layer, states = seen[truth.layer]
    split = split_values(layer, states.values[0])
    summed = torch.einsum("hqk,khd->qd", states.weights[0], split.vectors) + split.constant
    if layer.norm_after is not None and layer.placement == "sandwich":
        summed = layer.norm_after(summed)
    expected = behind - before
    assert (summed - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(states.stream[0], before)


@torch.no_grad()
@pytest.mark.parametrize("name", ["granite", "gpt_oss", "deepseek_v3", "gemma4", "mpnet", "deberta_v3", "albert"])
def test_weights_are_those_that_the_model_itself_tells(name: str, models: Callable[[str], Transformer]) -> None:
    """The same folder, loaded by the library alone, asked for its attentions."""
    model, ids = models(name), _ids(name)
    seen: dict[int, Tensor] = {}
    with model.watch_attention(lambda layer, states: seen.update({layer.place: states.weights.clone()})):
        model.forward(ids)
    alone = made(ARCHITECTURES[name])
    alone.load_state_dict(model.module.state_dict())
    alone.set_attn_implementation("eager")
    told = alone(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    assert len(told) == len(seen)
    for place, weights in enumerate(told):
        assert torch.allclose(seen[place], weights, atol=1e-6)


def test_a_sink_takes_weight_and_has_no_value(models: Callable[[str], Transformer]) -> None:
    layers = models("gpt_oss").attention_layers
    assert all(one.part.sink for one in layers)
    weights = attention_maps(models("gpt_oss"), TEXT).layers[0].weights
    assert weights.sum(-1).max() < 0.999
    seen: list[AttentionStates] = []
    with torch.no_grad(), models("gpt_oss").watch_attention(lambda _, states: seen.append(states)):
        models("gpt_oss").forward(_ids("gpt_oss"))
    inside, constant = (split_values(layers[0], seen[0].values[0], bias) for bias in ("inside", "constant"))
    # a bias of values cannot be moved out of the sum where weights do not add up to 1
    assert torch.equal(inside.vectors, constant.vectors)
    mixing = attention_maps(models("gpt_oss"), TEXT).layers[0].mixing["Attn-W"]
    own = torch.tensor(weights).diagonal(dim1=1, dim2=2) / torch.tensor(weights).sum(-1)
    assert torch.allclose(torch.tensor(mixing), 1 - own.mean(0), atol=1e-6)
    assert mixing[0] == pytest.approx(0, abs=1e-6)  # the first token sees itself alone


@torch.no_grad()
def test_weights_of_one_run_of_shared_layers_are_changed_and_of_no_other(
    models: Callable[[str], Transformer],
) -> None:
    """ALBERT's one layer runs twice: the first run is as it was when the second one's heads look elsewhere."""
    model, ids = models("albert"), _ids("albert")
    dense = model.module.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.dense

    def mixed() -> list[Tensor]:
        seen: list[Tensor] = []
        handle = dense.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
        try:
            model.forward(ids)
        finally:
            handle.remove()
        return seen

    second = [one for one in model.attention_layers if one.place == 1]
    plain = mixed()
    uniform = torch.full((ids.shape[1], ids.shape[1]), 1 / ids.shape[1])
    stops = second[0].change(lambda _, values: {(0, 2): uniform})
    try:
        changed = mixed()
    finally:
        for stop in stops:
            stop()
    assert torch.equal(plain[0], changed[0])
    d_head = second[0].d_head
    ours = slice(2 * d_head, 3 * d_head)
    assert (changed[1][0, :, ours] - changed[1][0, :1, ours]).abs().max() < 1e-6
    others = torch.ones(plain[1].shape[-1], dtype=torch.bool)
    others[ours] = False
    assert torch.equal(plain[1][..., others], changed[1][..., others])
    assert patch_attention(model, TEXT, ["L1.H2"]).kl > 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("qwen3_next", "what heads give is multiplied with a gate of each position before "),
        ("nemotron_h", "it is in layers without memories"),
        ("falcon_h1", "is not the stream before plus what it gives"),
        ("hyperclovax", "is multiplied with 0.4"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_reason(
    name: str, why: str, models: Callable[[str], Transformer]
) -> None:
    with pytest.raises(ModelError) as refused:
        _ = models(name).attention_layers
    assert why in refused.value.got
