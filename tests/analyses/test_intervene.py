"""Changed coefficients against arithmetic on the states, and against a model whose weights were changed instead."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import CellId, InputError
from ffmem.analyses.change import Change
from ffmem.analyses.change_controls import change_controls
from ffmem.analyses.intervene import intervene, parse_change
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

TEXT = "The silver river of the winter village"


def ids_of(model: Transformer) -> torch.Tensor:
    before, _ = model.special_tokens("auto")
    return torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])


def strongest(model: Transformer, layer: int) -> tuple[int, float]:
    """The cell of a layer with the largest coefficient at the last token."""
    m = trace(model, ids_of(model))[layer].coefficients[0, -1]
    row = int(m.abs().argmax())
    return row, float(m[row])


FAMILIES = ["llama", "gpt2", "opt", "gptj", "gemma2", "mixtral", "bloom", "wikilm"]


@pytest.mark.parametrize("family", FAMILIES)
def test_taking_a_cell_out_is_a_value_of_zeros(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model, other = (ffmem.load_model(tiny_folder(family)) for _ in range(2))
    row, _ = strongest(model, 1)
    cell = model.cells.cell_id(1, row)
    clean = model.logits(ids_of(model))
    found = intervene(model, TEXT, [Change(cell, "*", 0.0)], n_new=4)
    assert found.divergence > 0
    with torch.no_grad():
        other.values(1)[row] = 0.0  # a view of the weights, in every layout but that of mixtures
        if family == "mixtral":
            experts = other.module.model.layers[1].mlp.experts
            expert, index = divmod(row, other.facts.d_ff)
            experts.down_proj[expert, :, index] = 0.0
    assert float(other.values(1)[row].abs().max()) == 0
    before, _ = model.special_tokens("auto")
    if not before:  # at the special tokens nothing is changed, so without them the two are the same
        expected = other.logits(ids_of(other))[0, -1].softmax(-1)
        for one in found.candidates:
            assert one.after == pytest.approx(float(expected[one.token_id]), abs=1e-5)
    assert torch.equal(model.logits(ids_of(model)), clean)  # nothing stays


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layer_gets_the_difference_times_the_value(family: str, tiny_folder: Callable[[str], Path]) -> None:
    """At the last token, in the last layer: y' - y = (m' - m) v, whatever the architecture."""
    model = ffmem.load_model(tiny_folder(family))
    last = model.facts.n_layers - 1
    row, m = strongest(model, last)
    states: list[torch.Tensor] = []

    def observe(how: str, amount: float) -> torch.Tensor:
        def change(place: int, coefficients: torch.Tensor) -> torch.Tensor | None:
            if place != last:
                return None
            changed = coefficients.clone()
            changed[:, -1, row] = changed[:, -1, row] * amount if how == "*" else amount
            return changed

        layer, seen = model.layer(last), []
        handle = layer.output_module.register_forward_hook(
            lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
        )
        with model.change_coefficients(change), torch.no_grad():
            model.forward(ids_of(model))
        handle.remove()
        states.append(seen[0].reshape(-1, model.facts.d_model)[-1])
        return states[-1]

    clean = trace(model, ids_of(model))[last].ff_output[0, -1]
    value = model.values(last)[row]
    assert torch.allclose(observe("*", 3.0) - clean, 2 * m * value, atol=1e-5)
    assert torch.allclose(observe("=", 5.0) - clean, (5.0 - m) * value, atol=1e-5)
    assert torch.allclose(observe("*", 1.0), clean, atol=1e-6)


def test_where_a_change_is_made(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"))
    row, _ = strongest(model, 0)
    cell = model.cells.cell_id(0, row)
    n = len(model.tokenizer(TEXT, add_special_tokens=False).input_ids)
    everywhere = intervene(model, TEXT, [Change(cell, "=", 9.0)])
    at_last, by_number, by_negative = (
        intervene(model, TEXT, [Change(cell, "=", 9.0, at)], where=where, n_new=0)
        for at, where in ((None, "last"), (n - 1, "all"), (-1, "all"))
    )
    assert at_last.candidates == by_number.candidates == by_negative.candidates != everywhere.candidates
    nothing = intervene(model, TEXT, [Change(cell, "*", 1.0)])
    assert nothing.divergence == pytest.approx(0, abs=1e-9) and nothing.continued == nothing.continued_changed
    assert len(everywhere.candidates) >= 10 and everywhere.continued
    assert sum(one.before for one in nothing.candidates) <= 1 + 1e-6
    one_after_the_other = intervene(model, TEXT, [Change(cell, "=", 3.0), Change(cell, "+", 6.0)])
    assert one_after_the_other.divergence == pytest.approx(everywhere.divergence, rel=1e-6)


def test_what_is_written_on_is_what_the_model_writes(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    own = model.module.generate(ids_of(model), max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    expected = model.tokenizer.decode(own[0, ids_of(model).shape[1] :])
    assert intervene(model, TEXT, [], n_new=6).continued == expected


def test_hooks_go_whatever_happens(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("mixtral"))
    clean = model.logits(ids_of(model))

    def fail(place: int, coefficients: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), model.change_coefficients(fail):
        model.forward(ids_of(model))
    assert torch.equal(model.logits(ids_of(model)), clean)


def test_a_change_beyond_all_numbers_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    changes = [parse_change(model, "L0.3=3e38")]
    for ask in (intervene, change_controls):
        with pytest.raises(InputError, match="scores are no numbers"):
            ask(model, TEXT, changes)


def test_changes_are_read(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"))
    assert parse_change(model, "L1.3*0") == Change(CellId(1, 3), "*", 0.0)
    assert parse_change(model, "l1.3 = -2.5e1 @ -1") == Change(CellId(1, 3), "=", -25.0, -1)
    assert str(parse_change(model, "L1.3+2@4")) == "L1.3+2@4"
    for text in ("L1.3", "L1.3*", "L1.3*x", "L1.3*1.2.3", "*2", "L1.3/2", "L1.3*2@x"):
        with pytest.raises(InputError, match=r"is not a change of a cell.*For example: L9\.12\*0"):
            parse_change(model, text)
    with pytest.raises(InputError, match="does not exist"):
        parse_change(model, "L99.3*0")
    with pytest.raises(InputError, match=r"at token 99, and the text has \d+ tokens"):
        intervene(model, TEXT, [parse_change(model, "L1.3*0@99")])
    with pytest.raises(InputError, match="not a causal language model"):
        intervene(ffmem.load_model(tiny_folder("bert")), TEXT, [])
