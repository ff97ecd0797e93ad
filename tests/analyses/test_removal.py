"""Removed cells against hooks of plain torch, weights that are not there, and arithmetic by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

import ffmem
from ffmem import InputError
from ffmem.analyses.explain import explain
from ffmem.analyses.prefixes import Continued, random_prefixes
from ffmem.analyses.removal import KS, WAYS, Way, measure_removals, removal_layers, removed_vectors
from ffmem.models.transformer import Transformer

TEXTS = ("The silver river of the winter village", "A king of old")
SEED = 3


def drawn(model: Transformer) -> Continued:
    """The texts as they are, each followed by a token."""
    own = [np.array(model.tokenizer(text, add_special_tokens=False).input_ids) for text in TEXTS]
    prefixes = random_prefixes(own, np.array([11, 12]), sum(map(len, own)), seed=0)
    ends = np.flatnonzero([prefixes.position[i] == len(own[s]) - 1 for i, s in enumerate(prefixes.sentence)])
    return Continued(prefixes.some(ends), np.array([45, 50]))


def log_p(model: Transformer, number: int, place: int = -1, change: Any = None) -> torch.Tensor:
    """What the model predicts after a text, where the coefficients of a layer are changed at its end."""
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(TEXTS[number], add_special_tokens=False).input_ids]])

    def at_the_end(_: Any, inputs: Any) -> Any:
        m = inputs[0].clone()
        m.view(-1, m.shape[-1])[-1] = change(m.view(-1, m.shape[-1])[-1])
        return (m,)

    path = {"llama": "model.layers.{}.mlp.down_proj", "wikilm": "model.layers.{}.fc2"}[model.facts.family]
    module = model.module.get_submodule(path.format(place % model.facts.n_layers))
    handle = module.register_forward_pre_hook(at_the_end) if change else None
    try:
        with torch.no_grad():
            return model.module(ids).logits[0, -1].log_softmax(-1)
    finally:
        if handle:
            handle.remove()


@pytest.mark.parametrize("family", ["llama", "wikilm"])
def test_equals_a_hook_on_the_models_own_call(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    continued = drawn(model)
    found = measure_removals(model, continued, bos="auto", seed=SEED)
    for number in range(2):
        own = log_p(model, number)
        following = int(continued.following[number])
        assert found.loss[number] == pytest.approx(-float(own[following]), abs=1e-5)
        shares = {one.cell.cell: one.share for one in explain(model, TEXTS[number], limit=10_000).cells}
        position = int(continued.prefixes.position[number])
        rng = np.random.default_rng([SEED, 11 + number, position])
        for place in range(3):
            seen: list[torch.Tensor] = []
            log_p(model, number, place, lambda m, seen=seen: seen.append(m.clone()) or m)
            m, values = seen[0].numpy(), model.values(place).detach().numpy()
            active = np.flatnonzero(m)
            orders: dict[Way, list[int]] = {
                "activation": sorted(active, key=lambda i: -abs(m[i])),
                "contribution": sorted(active, key=lambda i: -abs(m[i]) * np.linalg.norm(values[i])),
                "effect": sorted(active, key=lambda i: -shares[model.cells.cell_id(place, int(i))]),
                "chance": active[rng.permutation(len(active))].tolist(),
            }
            rng.standard_normal(values.shape[1])
            for way, order in orders.items():
                for at, k in enumerate(KS):
                    gone = [int(i) for i in order[:k]]
                    without = log_p(model, number, place, lambda m, gone=gone: m.index_fill(0, torch.tensor(gone), 0.0))
                    where = (number, place, WAYS.index(way), at)
                    lost = float(own[following] - without[following])
                    assert found.change[where] == pytest.approx(lost, abs=2e-5), (way, k)
                    expected = float((own.exp() * (own - without)).sum())
                    assert found.divergence[where] == pytest.approx(expected, abs=2e-5), (way, k)
            lost = float(own[following] - log_p(model, number, place, torch.zeros_like)[following])
            assert found.without_all[number, place] == pytest.approx(lost, abs=2e-5)
            assert found.n_removed[number, place].tolist() == [min(k, len(active)) for k in KS]


@pytest.mark.parametrize("picks", [True, False])
def test_one_cell_alone_carries_the_prediction(picks: bool, tiny_folder: Callable[[str], Path]) -> None:
    """Nothing is lost until it is among those removed. In the last layer, what is lost then is known from the weights."""
    model = ffmem.load_model(tiny_folder("gpt2"))
    continued = drawn(model)
    one = Continued(continued.prefixes.some(slice(0, 1)), continued.following[:1])
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *one.prefixes.tokens(0).tolist()]])
    value = model.module.transformer.h[2].mlp.c_proj
    seen: list[torch.Tensor] = []
    handle = value.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, -1].abs()))
    model.module(ids)
    handle.remove()
    order = seen[0].argsort(descending=True)
    cell = int(order[0] if picks else order[20])
    following = int(one.following[0])
    with torch.no_grad():
        carried = value.weight[cell].clone() * 30
        value.weight.zero_()
        without = model.module(ids).logits[0, -1].log_softmax(-1)[following]
        value.weight[cell] = carried
        lost = float(model.module(ids).logits[0, -1].log_softmax(-1)[following] - without)
    found = measure_removals(model, one, bos="auto")
    assert abs(lost) > 0.1
    by_activation = found.change[0, 2, WAYS.index("activation")]
    expected = [lost] * 5 if picks else [0.0, 0.0, 0.0, lost, lost]
    assert by_activation == pytest.approx(expected, abs=2e-5)
    assert found.change[0, 2, WAYS.index("contribution")] == pytest.approx([lost] * 5, abs=2e-5)
    assert found.length[0, 2, WAYS.index("activation")] == pytest.approx(
        [float(one != 0) for one in expected], abs=1e-5
    )


def test_cells_of_experts_that_a_position_is_not_routed_to_are_no_chance(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("mixtral"))
    continued = drawn(model)
    found = measure_removals(model, continued, bos="auto")
    d_ff, routes = model.facts.d_ff, model.module.config.num_experts_per_tok
    assert (found.n_removed == [min(k, d_ff * routes) for k in KS]).all() and model.cells.layers[
        0
    ].n_cells > d_ff * routes
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *continued.prefixes.tokens(0).tolist()]])

    def none_of_the_second_layer(place: int, m: torch.Tensor) -> torch.Tensor | None:
        return None if place != 1 else torch.cat([m[:, :-1], torch.zeros_like(m[:, -1:])], 1)

    own = model.logits(ids)
    with model.change_coefficients(none_of_the_second_layer):
        changed = model.logits(ids)
    assert own is not None and changed is not None
    lost = (own[0, -1].log_softmax(-1) - changed[0, -1].log_softmax(-1))[continued.following[0]]
    assert found.without_all[0, 1] == pytest.approx(float(lost), abs=2e-5)


def test_a_prefix_has_the_same_whichever_others_are_looked_at(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"))
    both = drawn(model)
    second = Continued(both.prefixes.some(slice(1, 2)), both.following[1:])
    alone, among = measure_removals(model, second, bos="auto"), measure_removals(model, both, bos="auto")
    assert np.array_equal(alone.change[0], among.change[1]) and alone.document[0] == among.document[1] == 12


def test_a_stream_that_is_no_sum_has_no_effects(tiny_folder: Callable[[str], Path]) -> None:
    found = measure_removals(model := ffmem.load_model(tiny_folder("opt_post_ln")), drawn(model), bos="auto")
    effect = WAYS.index("effect")
    assert np.isnan(found.change[:, :, effect]).all() and np.isfinite(np.delete(found.change, effect, 2)).all()


def test_a_model_of_whole_sentences_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    llama = ffmem.load_model(tiny_folder("llama"))
    with pytest.raises(InputError, match="is not a causal language model"):
        measure_removals(ffmem.load_model(tiny_folder("bert")), drawn(llama), bos="auto")


def test_deep_models_are_looked_at_in_some_layers() -> None:
    assert removal_layers(8) == list(range(8)) and removal_layers(16) == [0, 2, 4, 6, 9, 11, 13, 15]
    assert removal_layers(30) == [0, 4, 8, 12, 17, 21, 25, 29]


@given(st.integers(1, 150), st.integers(0, 150), st.integers(0, 2**32 - 1))
def test_whatever_the_coefficients(n_cells: int, n_silent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, values = rng.standard_normal(n_cells).astype(np.float32), rng.standard_normal((n_cells, 6)).astype(np.float32)
    m[:n_silent] = 0
    active = [number for number in range(n_cells) if m[number]]
    rows, n_of = removed_vectors(
        torch.from_numpy(m), torch.from_numpy(values), torch.from_numpy(np.linalg.norm(values, axis=1)), None, rng
    )
    assert n_of == [min(k, len(active)) for k in KS]
    assert rows[0].numpy() == pytest.approx(m @ values, abs=1e-4)
    by_way = dict(zip(WAYS, rows[1:].view(len(WAYS), len(KS), 6).numpy(), strict=True))
    order = sorted(active, key=lambda number: -abs(m[number]))
    for at, k in enumerate(KS):
        expected = sum((m[number] * values[number] for number in order[:k]), np.zeros(6))
        assert by_way["activation"][at] == pytest.approx(expected, abs=1e-4)
        assert not by_way["effect"][at].any()
        length, chance = np.linalg.norm(expected), by_way["chance"][at]
        if k >= len(active):
            assert chance == pytest.approx(expected, abs=1e-4)
        for way in ("chance, equal norm", "random direction, equal norm"):
            assert np.linalg.norm(by_way[way][at]) == pytest.approx(length, rel=1e-4, abs=1e-6)
        cosine = by_way["chance, equal norm"][at] @ chance
        assert cosine == pytest.approx(length * np.linalg.norm(chance), rel=1e-3, abs=1e-5)
