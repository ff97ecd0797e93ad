"""What is added to a layer's output, against the algebra of plain modules."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.editing.asking import asked
from ffmem.analyses.editing.outputs import added_to_output, at_keys, check_editable, key_coefficients
from ffmem.models.patches.changes import Replaced, changed_values

FAMILIES = ("gpt2", "llama", "gpt_neox", "gemma2", "mixtral", "bert", "opt", "phi")


def states(model: object, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.module(ids).logits  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES)
def test_adding_what_other_values_would_give_more_is_as_if_they_were_there(
    family: str, tiny_folder: Callable[[str], Path]
) -> None:
    """y + m dV is what V + dV gives; also through norms behind y, in parallel layers, and in experts."""
    model = load_model(tiny_folder(family))
    text = "the silver [MASK] of" if family == "bert" else "the silver river of"
    ids = torch.tensor([model.tokenizer(text).input_ids])
    own = states(model, ids)
    values = model.values(1).clone()
    factors = torch.linspace(-1, 2, len(values))[:, None]
    with added_to_output(model, 1, lambda m: m.float() @ (factors * values)):
        added = states(model, ids)
    assert torch.equal(states(model, ids), own)
    with changed_values(model, {1: Replaced(torch.arange(len(values)), values * (1 + factors))}):
        torch.testing.assert_close(added, states(model, ids), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(added, own, atol=1e-3)


def test_a_vector_is_added_at_each_rows_own_key(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    rows = [asked(model, "the silver river", "of", subject) for subject in ("the", "silver")]
    vector = torch.arange(1.0, model.facts.d_model + 1)
    found = at_keys(rows, vector)(torch.zeros(2, 5, 7))
    expected = torch.zeros(2, 5, model.facts.d_model)
    for number, row in enumerate(rows):
        expected[number, row.key] = vector
    assert torch.equal(found, expected)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_coefficients_at_keys_are_those_of_each_row_alone(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(family))
    rows = [asked(model, text, "winter", "silver") for text in ("the silver river of the", "silver windows")]
    found = key_coefficients(model, [0, 1], rows)
    for number, row in enumerate(rows):
        for place in (0, 1):
            seen: list[torch.Tensor] = []
            with (
                torch.no_grad(),
                model.watch_coefficients(lambda _, m, seen=seen: seen.append(m.clone()), layers=[place]),
            ):
                model.forward(torch.tensor([row.ids]))
            torch.testing.assert_close(found[place][number], seen[0][0, row.key].double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("variant", "told"), [("t5", "is an encoder-decoder"), ("marian", "is an encoder-decoder")])
def test_models_without_an_answer_are_refused(variant: str, told: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    with pytest.raises(InputError, match=told):
        check_editable(model, 0)
