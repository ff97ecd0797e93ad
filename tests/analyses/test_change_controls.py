"""The same change of other cells against plain passes with weights changed instead, and planted cells with a known answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import CellId, InputError
from ffmem.analyses.change import Change
from ffmem.analyses.change_controls import change_controls
from ffmem.analyses.intervene import intervene
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

TEXT = "The silver river of the winter village"


def ids_of(model: Transformer) -> torch.Tensor:
    before, _ = model.special_tokens("auto")
    return torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "wikilm"])
def test_each_row_is_the_change_made_alone(family: str, tiny_folder: Callable[[str], Path]) -> None:
    """Different changes share a pass; each says what `intervene` says of it by itself, in every kind of layer."""
    model = ffmem.load_model(tiny_folder(family))
    cell = model.cells.cell_id(1, 3)
    found = change_controls(model, TEXT, [Change(cell, "=", 4.0), Change(cell, "+", 2.0, -1)], n_random=3, seed=2)
    assert found is not None and len(found.random) == 3
    own = model.logits(ids_of(model))[0, -1].softmax(-1)
    assert found.target_id == int(own.argmax()) and found.probability == pytest.approx(float(own.max()), abs=1e-6)
    for one in (found.own, found.alike, *found.random):
        (other,) = one.cells
        assert one.changes == (f"{other}=4", f"{other}+2@-1") and other.layer_name == cell.layer_name
        alone = intervene(model, TEXT, [Change(other, "=", 4.0), Change(other, "+", 2.0, -1)], n_new=0)
        assert one.divergence == pytest.approx(alone.divergence, rel=1e-3, abs=1e-7)
        after = {each.token_id: each.after for each in alone.candidates}
        assert one.difference == pytest.approx(after[found.target_id] - found.probability, abs=1e-5)
    assert found.own.cells == (cell,)
    assert len({cell, *(one.cells[0] for one in found.random)}) == 4  # no cell twice


@pytest.mark.parametrize("where", ["all", "last"])
def test_the_equally_strong_cell_is_the_nearest_by_brute_force(where: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"))
    before, _ = model.special_tokens("auto")
    state = trace(model, ids_of(model))[1]
    adds = (state.coefficients[0].abs() * model.values(1).norm(dim=1)).numpy()  # what "out" takes away
    adds = adds[len(before) :] if where == "all" else adds[-1:]
    for row in (0, 7):
        found = change_controls(model, TEXT, [Change(model.cells.cell_id(1, row), "*", 0.0)], where=where)
        assert found is not None
        distances = {
            other: np.linalg.norm((adds[:, other] - adds[:, row]) / (adds[:, row] + adds[:, row].mean()))
            for other in range(adds.shape[1])
            if other != row
        }
        assert found.alike.cells[0].index == min(distances, key=lambda other: distances[other])
        assert found.own.strength == pytest.approx(np.linalg.norm(adds[:, row]), rel=1e-4)
        assert found.alike.strength == pytest.approx(np.linalg.norm(adds[:, found.alike.cells[0].index]), rel=1e-4)


def test_of_the_last_layer_only_the_last_token_counts(tiny_folder: Callable[[str], Path]) -> None:
    """What it writes before is read by nobody: strength there would make a weak control look like an equal one."""
    model = ffmem.load_model(tiny_folder("llama"))
    last = model.facts.n_layers - 1
    state = trace(model, ids_of(model))[last]
    adds = (state.coefficients[0, -1].abs() * model.values(last).norm(dim=1)).tolist()
    found = change_controls(model, TEXT, [Change(model.cells.cell_id(last, 3), "*", 0.0)])
    assert found is not None and found.own.strength == pytest.approx(adds[3], rel=1e-4)
    nearest = min((other for other in range(len(adds)) if other != 3), key=lambda other: abs(adds[other] - adds[3]))
    assert found.alike.cells[0].index == nearest and found.alike.strength == pytest.approx(adds[nearest], rel=1e-4)


def test_a_twin_moves_as_much_and_random_cells_do_not(tiny_folder: Callable[[str], Path]) -> None:
    """A cell is planted twice, and all others of the layer write nothing: its twin must be found, and be as strong."""
    model = ffmem.load_model(tiny_folder("gpt2"))
    module = model.layer(2).module
    with torch.no_grad():
        module.mlp.c_proj.weight.mul_(0.0)
        module.mlp.c_fc.weight[:, 9] = module.mlp.c_fc.weight[:, 4]
        module.mlp.c_fc.bias[[4, 9]] = 3.0
        module.mlp.c_proj.weight[[4, 9]] = torch.linspace(-2, 2, model.facts.d_model)
    found = change_controls(model, TEXT, [Change(CellId(2, 4), "*", 0.0)])
    assert found is not None and found.alike.cells == (CellId(2, 9),)
    assert found.own.divergence > 1e-3 and found.alike.divergence == pytest.approx(found.own.divergence, rel=1e-3)
    silent = [one for one in found.random if one.cells != (CellId(2, 9),)]
    assert len(silent) >= 7 and all(one.strength == 0 and one.divergence < 1e-9 for one in silent)
    assert abs(found.median_difference) < 1e-7 and found.n_as_large == 8 - len(silent)
    assert found.to_json()["n_as_large"] == found.n_as_large


def test_draws_are_seeded_and_of_another_token_on_request(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    changes = [Change(CellId(1, 3), "*", 0.0), Change(CellId(2, 5), "*", 0.0), Change(CellId(1, 8), "*", 2.0)]
    first, again, other = (change_controls(model, TEXT, changes, seed=seed, target_id=7) for seed in (0, 0, 1))
    assert first is not None and other is not None and first == again and first.random != other.random
    own = model.logits(ids_of(model))[0, -1].softmax(-1)
    assert first.target_id == 7 and first.probability == pytest.approx(float(own[7]), abs=1e-7)
    for one in (first.alike, *first.random):
        assert [each.layer for each in one.cells] == [1, 2, 1] and not {*one.cells} & {*first.own.cells}


def test_without_other_cells_there_are_no_controls(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    d_ff = model.facts.d_ff
    assert change_controls(model, TEXT, []) is None
    assert change_controls(model, TEXT, [Change(CellId(1, row), "*", 0.0) for row in range(d_ff)]) is None
    few = change_controls(model, TEXT, [Change(CellId(1, row), "*", 0.0) for row in range(d_ff // 3)])
    assert few is not None and len(few.random) == 2  # what is left of the layer is enough for two draws
    with pytest.raises(InputError, match="at token 99"):
        change_controls(model, TEXT, [Change(CellId(1, 3), "*", 0.0, 99)])
    with pytest.raises(InputError, match="not a causal language model"):
        change_controls(ffmem.load_model(tiny_folder("bert")), TEXT, [])
