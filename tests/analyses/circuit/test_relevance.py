"""Relevance is conserved in every family, and is a sum over all paths of a model that was made linear by hand."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ffmem import InputError, load_model
from ffmem.analyses.circuit.relevance import Relevance, relevance, run_frozen, scores_of
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
TEXT = "The silver river of the winter village"
FAMILIES = [
    "llama", "opt", "gpt2", "gptj", "gpt_neox", "gemma2", "gemma3", "qwen3", "mixtral", "qwen3_moe", "bloom", "phi", "falcon",
    "wikilm", "wikilm_final_norm",
]  # fmt: skip


def ids_of(model: Transformer, *texts: str) -> Tensor:
    before, _ = model.special_tokens("auto")
    rows = [model.tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    n = min(map(len, rows))
    return torch.tensor([[*before, *row[:n]] for row in rows])


def measured(model: Transformer, ids: Tensor, token: str, other: str | None = None) -> Relevance:
    vocabulary = model.tokenizer.get_vocab()
    targets, against = [vocabulary[token]] * len(ids), [None if other is None else vocabulary[other]] * len(ids)
    layers = run_frozen(model, ids)
    return relevance(model, layers, scores_of(model, layers, targets, against))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_cut_is_worth_and_all_biases_behind_it_is_the_models_own_score(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    ids = ids_of(model, TEXT, "In the harbour of the old city a ship")
    vocabulary = model.tokenizer.get_vocab()
    with torch.no_grad():
        own = model.module(ids).logits[:, -1].double()
    found = measured(model, ids, "t", "o")
    if model.unembedding.softcap is None:
        assert found.scores.values.tolist() == pytest.approx(
            (own[:, vocabulary["t"]] - own[:, vocabulary["o"]]).tolist(), abs=1e-4
        )
    assert found.cuts.shape == (2, model.facts.n_layers + 1)
    for cut in found.cuts.T:
        assert cut.tolist() == pytest.approx(found.scores.values.tolist(), abs=1e-4)
    # by the nodes themselves: tokens, and all biases
    total = found.tokens.double().sum(1) + found.biases.sum((1, 2)) + found.scores.constants
    assert total.tolist() == pytest.approx(found.scores.values.tolist(), abs=1e-4)
    # nodes of the last layer and what passes by them: each head and cell is what the stream in front of it gave, and a bias
    for place, (cells, heads) in enumerate(zip(found.cells, found.heads, strict=True)):
        assert float(cells.abs().sum()) > 0 and float(heads.abs().sum()) > 0, place
    alone = measured(model, ids[1:], "t", "o")
    assert alone.tokens[0].tolist() == pytest.approx(found.tokens[1].tolist(), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "t5", "opt_post_ln", "bloom_normed_residual"])
def test_what_has_no_plain_sum_is_refused(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    with pytest.raises(InputError):
        run_frozen(model, ids_of(model, TEXT))


def linear_weights(model: Transformer, ids: Tensor) -> dict[str, list[Tensor]]:
    """Of a GPT-2, by plain hooks: each layer as matrices from the stream to the stream, everything held as it was."""
    module = model.module
    module.set_attn_implementation("eager")
    given: dict[str, list[Tensor]] = {"ln_1": [], "ln_2": [], "c_fc": []}
    hooks = []
    for block in module.transformer.h:
        for name, part in (("ln_1", block.ln_1), ("ln_2", block.ln_2)):
            hooks.append(part.register_forward_pre_hook(lambda _, x, name=name: given[name].append(x[0][0].double())))
        hooks.append(block.mlp.c_fc.register_forward_hook(lambda _, __, y: given["c_fc"].append(y[0].double())))
    with torch.no_grad():
        given["weights"] = [one[0].double() for one in module(ids, output_attentions=True).attentions]
    for hook in hooks:
        hook.remove()
    return given


def normed(norm: torch.nn.LayerNorm, state: Tensor, vector: Tensor) -> Tensor:
    """A vector through the norm as the state has set it, without its bias."""
    scale = 1 / (state.var(unbiased=False) + norm.eps).sqrt()
    return (vector - vector.mean()) * scale * norm.weight.double()


def test_a_cell_is_worth_the_sum_over_all_paths_from_it(tiny_folder: Folder) -> None:
    """Every path from a cell of the last layer but one: straight, by a head, by a cell, by a head and then a cell."""
    model = load_model(tiny_folder("gpt2"))
    ids = ids_of(model, "The cat")[:, -3:]
    assert model.facts.n_layers == 3
    found = measured(model, ids, "t")
    given, module = linear_weights(model, ids), model.module
    block, final = module.transformer.h[2], module.transformer.ln_f
    n, token = ids.shape[1], model.tokenizer.get_vocab()["t"]
    d, n_heads = module.config.n_embd, module.config.n_head
    size = d // n_heads
    value_matrix = block.attn.c_attn.weight.double()[:, 2 * d :]
    output = block.attn.c_proj.weight.double()
    with torch.no_grad():
        seen: list[Tensor] = []
        handle = final.register_forward_pre_hook(lambda _, x: seen.append(x[0][0].double()))
        module(ids)
        handle.remove()
        act = model.activation_of(2)
        assert act is not None
        products = given["c_fc"][2]
        ratio = act(products) / products

        def logit(vector: Tensor) -> float:
            return float(normed(final, seen[0][-1], vector) @ module.lm_head.weight[token].double())

        def by_cell(vector: Tensor, position: int) -> Tensor:
            inside = normed(block.ln_2, given["ln_2"][2][position], vector) @ block.mlp.c_fc.weight.double()
            return (ratio[position] * inside) @ block.mlp.c_proj.weight.double()

        def by_head(vector: Tensor, source: int, to: int, head: int) -> Tensor:
            rows = slice(head * size, (head + 1) * size)
            value = normed(block.ln_1, given["ln_1"][2][source], vector) @ value_matrix[:, rows]
            return given["weights"][2][head, to, source] * (value @ output[rows])

        m = act(given["c_fc"][1])
        for position, row in product(range(n), range(0, m.shape[1], 5)):
            part = m[position, row] * module.transformer.h[1].mlp.c_proj.weight.double()[row]
            paths = []
            if position == n - 1:
                paths += [logit(part), logit(by_cell(part, n - 1))]
            for head in range(n_heads):
                moved = by_head(part, position, n - 1, head)
                paths += [logit(moved), logit(by_cell(moved, n - 1))]
            assert float(found.cells[1][0, position, row]) == pytest.approx(sum(paths), abs=2e-5)


def test_a_gated_cell_gives_half_of_what_it_is_worth_to_each_branch(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    layer = run_frozen(model, ids_of(model, TEXT))[0]
    x = layer.states.ff_input.double()
    gate = x @ model.gate_keys(0).double().T
    up = x @ model.up_keys(0).double().T
    assert layer.cells.to_up is not None
    m = layer.cells.coefficients.double()
    assert (layer.cells.to_gate.double() * gate - m / 2).abs().max() < 1e-5
    assert (layer.cells.to_up.double() * up - m / 2).abs().max() < 1e-5
