"""Cells that a text activates, against the model's own coefficients and the index's own triggers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.activation import activate

FAMILIES = ["gpt2", "llama", "bert", "mixtral", "t5"]
TEXT = "The quick river and the old garden."


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("by", ["norm", "coefficient"])
def test_strongest_cells_are_those_of_a_full_sort(family: str, by: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    found = activate(model, TEXT, by=by, limit=7)  # type: ignore[arg-type]
    prefix, suffix = model.special_tokens("auto")
    own = model.tokenizer(TEXT, add_special_tokens=False).input_ids
    ids = torch.tensor([[*prefix, *own, *suffix]])
    layers: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: layers.append(m[0].clone())):
        model.forward(ids, torch.ones_like(ids))
    assert len(found.tokens) == len(own) and "".join(t.token for t in found.tokens).replace(" ", "") in TEXT.replace(
        " ", ""
    )
    for token in found.tokens:
        expected = []
        for place, layer in enumerate(layers):
            for row, coefficient in enumerate(layer[len(prefix) + token.position].tolist()):
                length = float(model.values(place)[row].norm()) if by == "norm" else 1.0
                expected.append((-abs(coefficient) * length, str(model.cells.cell_id(place, row)), coefficient))
        best = sorted(expected)[:7]
        assert [str(one.cell) for one in token.cells] == [cell for _, cell, _ in best]
        assert [one.coefficient for one in token.cells] == pytest.approx([c for *_, c in best], abs=1e-6)


def test_a_trigger_sentence_activates_its_cell_as_the_index_says(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index = index_of("llama")
    cell = index.cell("L1.7")
    for sign in (1, -1):
        trigger = next(one for one in cell.triggers if one.sign == sign)
        model = ffmem.load_model(tiny_folder("llama"))
        found = activate(model, trigger.text, index=index, by="share", layer=1, limit=48)
        here = next(one for one in found.tokens[trigger.position].cells if str(one.cell) == "L1.7")
        assert here.coefficient == pytest.approx(trigger.coefficient, rel=1e-4)
        assert here.rank == 0 and here.share == pytest.approx(1.0, rel=1e-4)
        assert here.trigger == trigger.marked()
        tokens = cell.promoted if sign == 1 else cell.suppressed
        assert here.promoted == tuple(token.token for token in tokens[:5])
        assert all(one.cell.layer == 1 for token in found.tokens for one in token.cells)
        assert json.loads(json.dumps(found.to_json()))["tokens"][0]["cells"]
        assert "<mark>" not in found._repr_html_() and "L1.7" in found._repr_html_()


def test_errors(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    for arguments, message in (
        ({"text": ""}, "has no token"),
        ({"text": "a " * 100}, "Expected at most 64, the context"),
        ({"text": TEXT, "by": "share"}, "no index is given"),
        ({"text": TEXT, "by": "beauty"}, "Expected one of: norm, coefficient, share"),
        ({"text": TEXT, "layer": "9"}, "layer 9 does not exist"),
        ({"text": TEXT, "index": index_of("llama")}, "has other weights than the model that"),
    ):
        with pytest.raises(InputError, match=message):
            activate(model, **arguments)  # type: ignore[arg-type]
