"""The plain call's coefficients, against activation and keys written out; and what the tokenizer gives besides ids."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import ModelError, load_model
from ffmem.models.plain_call import plain_coefficients, plain_input
from ffmem.models.tracing import trace

Folder = Callable[[str], Path]
TEXT = "the quick brown fox"


@pytest.mark.parametrize("variant", ["opt", "llama", "mixtral", "t5"])
def test_its_coefficients_are_those_of_a_trace_alone(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    given = plain_input(model, TEXT, "auto")
    assert given is not None and list(given.token_ids) == model.tokenizer(TEXT).input_ids
    expected = trace(model, torch.tensor([given.token_ids]))
    for found, state in zip(plain_coefficients(model, given), expected, strict=True):
        assert torch.allclose(found, state.coefficients[0].float(), atol=1e-5)


def test_stored_tokens_that_are_others_are_refused(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    own = model.tokenizer(TEXT, add_special_tokens=False).input_ids
    given = plain_input(model, TEXT, "auto", own)
    assert given is not None and given.own_slice == slice(1, 1 + len(own))
    assert given.cut(2).token_ids == (0, *own[:2])
    with pytest.raises(ModelError, match="other ids than the tokens that are stored"):
        plain_input(model, TEXT, "auto", [*own[:-1], own[-1] + 1])
    piece = plain_input(model, TEXT, "auto", own[1:], is_piece=True)
    assert piece is not None and piece.own == tuple(own[1:])
    assert plain_input(model, "", "auto") is None
