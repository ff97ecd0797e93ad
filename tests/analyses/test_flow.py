"""The flow of a prediction: its sum is the model's own score, and its parts are those of a slow loop over plain weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem import InputError, ModelError, load_model
from ffmem.analyses.explain import explain
from ffmem.analyses.flow import flow
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
TEXT = "The silver river of the winter village"
FAMILIES = [
    "llama", "opt", "gpt2", "gptj", "gpt_neox", "gemma2", "qwen3", "mixtral", "qwen3_moe", "bloom", "phi", "falcon",
    "wikilm", "wikilm_final_norm",
]  # fmt: skip


def ids_of(model: Transformer, text: str) -> Tensor:
    before, _ = model.special_tokens("auto")
    return torch.tensor([[*before, *model.tokenizer(text, add_special_tokens=False).input_ids]])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_add_up_to_the_difference_of_the_models_own_scores(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    with torch.no_grad():
        own = model.module(ids_of(model, TEXT)).logits[0, -1].double()
    vocabulary = model.tokenizer.get_vocab()
    found = flow(model, TEXT, target="t", against="o")
    expected = float(own[vocabulary["t"]] - own[vocabulary["o"]])
    assert found.own == pytest.approx(expected, abs=1e-4) and found.sum.total == pytest.approx(found.score, abs=1e-4)
    if found.quantity != "logit before the soft cap":
        assert found.sum.total == pytest.approx(expected, abs=1e-4)
    assert not [one.not_split for one in found.sum.layers if one.not_split]
    for layer in found.sum.layers:
        heads = [sum(head.by_source) for head in layer.heads]
        assert [head.share for head in layer.heads] == pytest.approx(heads, abs=1e-9)
        assert layer.attention == pytest.approx(sum(heads) + layer.attention_bias, abs=1e-4)
        assert layer.cells == pytest.approx(layer.cells_above + layer.cells_below, abs=1e-9)
    alone = flow(model, TEXT)
    assert alone.rank == 0 and alone.probability == pytest.approx(float(own.softmax(-1).max()), rel=1e-4)


def test_layers_are_those_of_an_explanation(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gemma2"))
    one, other = flow(model, TEXT, limit=10**6), explain(model, TEXT, limit=10**6)
    for mine, theirs in zip(one.sum.layers, other.layers, strict=True):
        assert (mine.attention, mine.cells, mine.bias) == pytest.approx(
            (theirs.attention, theirs.cells, theirs.bias), abs=1e-4
        )
    shares = {str(cell.cell.cell): cell.share for layer in one.sum.layers for cell in layer.largest}
    assert shares == pytest.approx({str(cell.cell.cell): cell.share for cell in other.cells if cell.share}, abs=1e-4)


def slow_heads(model: Transformer, variant: str, token: int) -> list[list[list[float]]]:
    """[layer][head][source], by loops over the weights of the Hugging Face model and the attention that it reports."""
    module = model.module
    module.set_attn_implementation("eager")
    layers = module.transformer.h if variant == "gpt2" else module.model.layers
    final = module.transformer.ln_f if variant == "gpt2" else module.model.norm
    norms = [layer.ln_1 if variant == "gpt2" else layer.input_layernorm for layer in layers]
    behind = [layer.post_attention_layernorm for layer in layers] if variant == "gemma2" else []
    inputs: list[Tensor] = []
    given: list[Tensor] = []
    hooks = [norm.register_forward_hook(lambda _, __, output: inputs.append(output[0].double())) for norm in norms]
    for norm in (*behind, final):
        hooks.append(norm.register_forward_pre_hook(lambda _, states: given.append(states[0][0, -1].double())))
    with torch.no_grad():
        attentions = module(ids_of(model, TEXT), output_attentions=True).attentions
        for hook in hooks:
            hook.remove()
        direction = module.lm_head.weight[token].double() * gain(final, variant) / length(given[-1], final, variant)
        found = []
        for place, layer in enumerate(layers):
            (weight, bias), outputs, n_heads = value_and_output(module, variant, layer)
            v, size = inputs[place] @ weight + bias, len(outputs) // n_heads
            times = n_heads * size // v.shape[1]
            after = gain(behind[place], variant) / length(given[place], behind[place], variant) if behind else 1.0
            found.append([[0.0] * len(v) for _ in range(n_heads)])
            for head in range(n_heads):
                rows = slice(head * size, (head + 1) * size)
                own = v[:, (head // times) * size : (head // times + 1) * size]
                for source in range(len(v)):
                    vector = float(attentions[place][0, head, -1, source]) * own[source] @ outputs[rows] * after
                    centre = vector.mean() if variant == "gpt2" else 0.0
                    found[-1][head][source] = float((vector - centre) @ direction)
    return found


def gain(norm: Any, variant: str) -> Tensor:
    weight: Tensor = norm.weight.double()
    return 1 + weight if variant == "gemma2" else weight


def length(state: Tensor, norm: Any, variant: str) -> Tensor:
    """What a norm divides by."""
    square = state.var(unbiased=False) if variant == "gpt2" else state.pow(2).mean()
    return (square + next(getattr(norm, name) for name in ("eps", "variance_epsilon") if hasattr(norm, name))).sqrt()


def value_and_output(module: Any, variant: str, layer: Any) -> tuple[tuple[Tensor, Any], Tensor, int]:
    """W_V and its bias, W_O, heads."""
    if variant == "gpt2":
        width = module.config.n_embd
        weight, bias = layer.attn.c_attn.weight.double(), layer.attn.c_attn.bias.double()
        return (weight[:, 2 * width :], bias[2 * width :]), layer.attn.c_proj.weight.double(), module.config.n_head
    own = layer.self_attn
    return (own.v_proj.weight.double().T, 0.0), own.o_proj.weight.double().T, module.config.num_attention_heads


@pytest.mark.parametrize("variant", ["gpt2", "llama", "gemma2"])
def test_a_heads_part_from_a_token_is_that_of_a_slow_loop(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    found = flow(model, TEXT, target="t")
    slow = slow_heads(model, variant, model.tokenizer.get_vocab()["t"])
    assert len(slow) == len(found.sum.layers) > 1 and len(slow[0]) > 1
    for layer, own in zip(found.sum.layers, slow, strict=True):
        for head, expected in zip(layer.heads, own, strict=True):
            assert head.by_source == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gptj", "gpt_neox", "mixtral", "falcon", "wikilm"])
def test_what_a_key_was_given_is_what_made_the_coefficient(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    cells = [one.cell.cell for layer in flow(model, TEXT).sum.layers for one in layer.largest[:2]]
    found = flow(model, TEXT, cells=cells)
    assert [one.cell.cell for one in found.fired] == cells and not [one.why_not for one in found.fired if one.why_not]
    own = {str(one.cell.cell): one.share for layer in found.sum.layers for one in layer.largest}
    for one in found.fired:
        assert one.share == pytest.approx(own[str(one.cell.cell)], abs=1e-6)
        given = [key.sum.total for key in one.keys]
        act = model.activation_of(model.cells.place(one.cell.cell)[0])
        assert act is not None
        before = float(act(torch.tensor(given[0])))
        expected = before if len(given) == 1 else before * given[1]
        assert len(given) == (2 if model.facts.gated else 1)
        if one.routed:
            assert family == "mixtral" and 0 < one.cell.coefficient / expected <= 1.0001
        else:
            assert one.cell.coefficient == pytest.approx(expected, abs=2e-5)


def test_what_an_earlier_cell_gives_to_a_key_is_its_value_along_it(tiny_folder: Folder) -> None:
    """m (gain k . v) / length, from the weights of the file."""
    model = load_model(tiny_folder("llama"))
    layer, norm = model.module.model.layers[1], model.module.model.layers[1].post_attention_layernorm
    (cell,) = flow(model, TEXT).sum.layers[1].largest[:1]
    (fired,) = flow(model, TEXT, cells=[cell.cell.cell]).fired
    states: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, given: states.append(given[0][0, -1].double()))
    coefficients: list[Tensor] = []
    down = model.module.model.layers[0].mlp.down_proj
    other = down.register_forward_pre_hook(lambda _, given: coefficients.append(given[0][0, -1].double()))
    with torch.no_grad():
        model.module(ids_of(model, TEXT))
    hook.remove(), other.remove()
    length = float((states[0].pow(2).mean() + norm.variance_epsilon).sqrt())
    for key, weight in zip(fired.keys, (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight), strict=True):
        along = (weight[fired.cell.cell.index] * norm.weight).double()
        for one in key.sum.layers[0].largest[:5]:
            row = one.cell.cell.index
            expected = float(coefficients[0][row] * (down.weight[:, row].double() @ along)) / length
            assert one.share == pytest.approx(expected, abs=1e-5)
        assert (
            key.sum.layers[1].cells == 0.0 and key.sum.layers[1].attention != 0.0
        )  # its own layer's attention, no cells


def test_cells_beside_attention_see_nothing_of_their_layer(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gptj"))
    cell = flow(model, TEXT).sum.layers[1].largest[0].cell.cell
    (fired,) = flow(model, TEXT, cells=[cell]).fired
    assert [one.layer for one in fired.keys[0].sum.layers] == ["L0"]


@pytest.mark.parametrize("family", ["gpt2", "wikilm"])
def test_after_an_earlier_token_it_is_the_models_own_score_there(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    ids = ids_of(model, TEXT)
    n_before = 1 if family == "wikilm" else 0
    with torch.no_grad():
        own = model.module(ids).logits[0, n_before + 2].double()
    found = flow(model, TEXT, at=2)
    assert found.sum.total == pytest.approx(float(own.max()), abs=1e-4) and found.rank == 0
    assert [one.token_id for one in (*found.tokens, *found.later)] == ids[0].tolist()
    assert [one.special for one in found.tokens] == [True] * n_before + [False] * 3 and found.n_before == n_before


def test_attention_that_is_not_understood_stays_one_part(tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_folder("gpt2"))
    expected = flow(model, TEXT)
    scaled = model.attention_layers[1]
    monkeypatch.setattr(scaled, "_scaled", lambda output: output * 3)  # a multiplier that nobody told of
    found = flow(model, TEXT)
    assert found.sum.total == pytest.approx(expected.sum.total, abs=1e-5)
    reasons = [one.not_split for one in found.sum.layers]
    assert "do not add up" in reasons[1] and not reasons[0] and found.sum.layers[1].heads == ()
    assert found.sum.layers[1].attention == pytest.approx(expected.sum.layers[1].attention, abs=1e-6)

    def refuse(*_: Any) -> Any:
        raise ModelError("attention of this model is not understood", "Expected one that is", "Use another")

    monkeypatch.setattr(Transformer, "watch_attention", refuse)
    found = flow(model, TEXT)
    assert found.sum.total == pytest.approx(expected.sum.total, abs=1e-5)
    assert {one.not_split for one in found.sum.layers} == {"attention of this model is not understood"}


def test_what_cannot_be_asked_is_refused(tiny_folder: Folder) -> None:
    gpt2 = load_model(tiny_folder("gpt2"))
    with pytest.raises(InputError, match="has no token 99"):
        flow(gpt2, TEXT, at=99)
    with pytest.raises(InputError, match="not a causal language model"):
        flow(load_model(tiny_folder("bert")), TEXT)
    with pytest.raises(InputError, match="passes through a norm in every layer"):
        flow(load_model(tiny_folder("opt_post_ln")), TEXT)
