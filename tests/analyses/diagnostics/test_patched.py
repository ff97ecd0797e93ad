"""Weights that are replaced: own ones change nothing, in every family; others are what a plain loop makes of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.analyses.attention.inputs import as_batch, read_text
from ffmem.analyses.diagnostics.maps import maps_of, mean_maps
from ffmem.analyses.diagnostics.patched import PATCHES, Replacements, costs_of, patched, permuted_rows
from ffmem.analyses.diagnostics.texts import Text
from ffmem.analyses.distances import tvd
from ffmem.models.transformer import Transformer
from tests.conftest import VARIANTS

TEXT = "the quick brown fox jumps over the lazy dog"


def read(model: Transformer) -> tuple[torch.Tensor, torch.Tensor | None]:
    ids, target = as_batch(model, read_text(model, TEXT))
    return ids[0], None if target is None else target[0]


def as_text(model: Transformer) -> Text:
    ids, _ = read(model)
    return Text(ids[:-1], 0, torch.arange(len(ids) - 1), ids[1:], 7)


@pytest.mark.parametrize("variant", [one for one in VARIANTS if "headless" not in one])
def test_own_weights_change_nothing(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    ids, target = read(model)
    with torch.inference_mode():
        logits = model.logits(ids[None], target_ids=None if target is None else target[None])
    assert logits is not None
    own = Replacements(maps_of(model, ids, target), None, None, 0)
    given = [own.given("own"), own.given("nothing"), own.given("uniform", keep_first=True)]
    same, nothing, uniform = patched(model, ids, given, target)
    plain = logits[0].float().log_softmax(-1)
    assert float(tvd(plain, same).max()) < 1e-5
    assert float(tvd(plain, nothing).max()) > 1e-4 < float(tvd(plain, uniform).max())


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("keep_first", [False, True])
def test_rows_are_what_a_loop_makes_of_them(patch: str, keep_first: bool, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("mistral"))  # grouped queries, and a window of 4
    ids, _ = read(model)
    other = torch.cat([ids[:1], ids[1:].flip(0)])
    own, shuffled = maps_of(model, ids), maps_of(model, other)
    layer = model.attention_layers[1]
    frozen = mean_maps(model, [ids, other[:5]], len(ids))
    given = Replacements(own, frozen, shuffled, 0).given(patch, keep_first=keep_first)  # type: ignore[arg-type]
    values = torch.randn(len(ids), layer.n_heads, layer.d_head, generator=torch.Generator().manual_seed(1))
    rows = given(layer, values)
    maps = own[layer.name]
    permuted = permuted_rows(maps, torch.Generator().manual_seed(0))
    if patch == "permuted":  # the first sub-layer's order was drawn before
        generator = torch.Generator().manual_seed(0)
        permuted = [permuted_rows(one, generator) for one in own.values()][1]
    for head in range(layer.n_heads):
        for query in range(len(ids)):
            at = [key for key in range(len(ids)) if maps.weights[head, query, key] > 0]
            raw = {
                "uniform": lambda key: 1.0,
                "norms": lambda key, head=head: float((values[key, head] @ layer.output_matrix()[head]).norm()),
                "shuffled text": lambda key, h=head, q=query: float(shuffled[layer.name].weights[h, q, key]),
                "permuted": lambda key, h=head, q=query: float(permuted[h, q, key]),
                "frozen": lambda key, h=head, q=query: float(
                    maps.weights[h, q, key] + (maps_of(model, other[:5])[layer.name].weights[h, q, key] if q < 5 else 0)
                ),
            }[patch]
            rest = [key for key in at if key > 0] if keep_first else at
            first = float(maps.weights[head, query, 0]) if keep_first else 0.0
            total = sum(raw(key) for key in rest)
            wanted = torch.zeros(len(ids))
            wanted[0] = first
            for key in rest:
                wanted[key] += (1 - first) * (raw(key) / total if total > 0 else 1 / len(rest))
            if not rest:
                wanted[0] = 1.0 if not keep_first else first
            assert torch.allclose(rows[head][query], wanted, atol=1e-5)


def test_permuted_rows_hold_the_same_weights(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("mistral"))
    maps = maps_of(model, read(model)[0])["L1"]
    found = permuted_rows(maps, torch.Generator().manual_seed(3))
    assert torch.equal(found.sort(-1).values, maps.weights.sort(-1).values)
    assert not torch.equal(found, maps.weights) and not bool((found > 0)[:, ~maps.allowed].any())


def test_costs_are_those_of_each_patch_by_itself(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_folder("llama"))
    text = as_text(model)
    every = Replacements(maps_of(model, text.ids), None, None, 0)
    given = [every.given("uniform"), every.given("own"), every.given("norms", only=[("L1", 2)])]
    together = costs_of(model, text, given)
    monkeypatch.setattr("ffmem.analyses.diagnostics.patched._NUMBERS", 1)  # one row at a time
    alone = costs_of(model, text, given)
    assert np.allclose(together.change, alone.change, atol=1e-5) and np.allclose(
        together.distance, alone.distance, atol=1e-5
    )
    assert together.document.tolist() == [7] * len(text)
    with torch.inference_mode():
        logits = model.logits(text.ids[None])
        changed = next(patched(model, text.ids, given[:1]))
    assert logits is not None
    p, q = logits[0].double().softmax(-1), changed.double().exp()
    for row, token in enumerate(text.following.tolist()):
        assert together.loss[row] == pytest.approx(-float(p[row, token].log()), abs=1e-5)
        assert together.change[row, 0] == pytest.approx(float((p[row, token] / q[row, token]).log()), abs=1e-5)
        assert together.distance[row, 0] == pytest.approx(float((p[row] - q[row]).abs().sum() / 2), abs=1e-5)
        assert together.divergence[row, 0] == pytest.approx(float((p[row] * (p[row] / q[row]).log()).sum()), abs=1e-5)


def test_uniform_weights_change_nothing_in_a_model_whose_queries_are_0(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    for place in range(3):
        model.layer(place).at("self_attn.q_proj").weight.zero_()
    text = as_text(model)
    every = Replacements(maps_of(model, text.ids), None, None, 0)
    found = costs_of(model, text, [every.given("uniform"), every.given("permuted"), every.given("norms")])
    assert found.distance[:, :2].max() < 1e-5 < 1e-4 < found.distance[:, 2].max()
