"""Positions that are kept against passes of the whole text, over families; and what is done where that does not hold."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem.analyses.change import Change
from ffmem.analyses.intervene import Intervention, intervene
from ffmem.models.continuation import Continuation
from ffmem.models.transformer import Transformer

TEXT = "The silver river of the winter village"
FAMILIES = [
    "gpt2",
    "llama",
    "opt",
    "gptj",
    "gpt_neo",
    "gpt_neox",
    "gemma2",
    "mixtral",
    "bloom",
    "falcon",
    "phi",
    "wikilm",
]
WITHOUT = {"wikilm"}
"""Families whose models keep nothing."""


def ids_of(model: Transformer) -> torch.Tensor:
    return torch.tensor([model.tokenizer(TEXT, add_special_tokens=False).input_ids])


def whole(model: Transformer, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.logits(ids)[0, -1]


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_whole_text(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    ids = ids_of(model)
    grows = Continuation(model, ids)
    n_run: list[int] = []
    model.module.register_forward_pre_hook(
        lambda _, __, named: n_run.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    with torch.inference_mode():
        for token in (5, 17, 3, 3):
            expected = whole(model, ids)
            n_run.clear()
            assert torch.allclose(grows.next_scores(), expected, atol=1e-4 * float(expected.abs().max()))
            grows.add(token)
            ids = torch.cat((ids, torch.tensor([[token]])), dim=1)
        n_run.clear()
        assert torch.allclose(grows.next_scores(), whole(model, ids), atol=1e-4)
    assert model.keeps_positions is (family not in WITHOUT)
    assert n_run[0] == (ids.shape[1] if family in WITHOUT else 1)  # the pass, and not the one that it is compared with


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "gemma2", "bloom"])
@pytest.mark.parametrize(
    "changes",
    [((1, "=", 6.0, None),), ((0, "*", 3.0, 2),), ((2, "+", 5.0, -1), (1, "*", 0.0, None))],
)
def test_changed_text_goes_on_as_without_keeping(
    family: str, changes: tuple[tuple[int, str, float, int | None], ...], tiny_folder: Callable[[str], Path]
) -> None:
    """Special tokens before the text, changes at all tokens or at one: kept positions stay as they were changed."""
    model = ffmem.load_model(tiny_folder(family))
    last = model.facts.n_layers - 1
    made = [Change(model.cells.cell_id(min(layer, last), 4), how, amount, at) for layer, how, amount, at in changes]

    def ask() -> Intervention:
        return intervene(model, TEXT, made, n_new=6)

    kept = ask()
    assert model.keeps_positions is True
    model.keeps_positions = False
    plain = ask()
    assert (kept.continued, kept.continued_changed) == (plain.continued, plain.continued_changed)
    assert kept.candidates == plain.candidates and kept.divergence == plain.divergence > 0


def test_a_change_at_the_last_token_as_it_grows_keeps_nothing(tiny_folder: Callable[[str], Path]) -> None:
    """Where the last token is changed, it is as it was once another follows: what was kept of it would be wrong."""
    model = ffmem.load_model(tiny_folder("gpt2"))
    lengths: list[int] = []
    model.module.register_forward_pre_hook(
        lambda _, __, named: lengths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    own = (torch.zeros(model.facts.d_vocab), [])
    n = ids_of(model).shape[1]
    intervene(model, TEXT, [Change(model.cells.cell_id(0, 4), "=", 9.0)], where="last", n_new=4, own=own)
    assert lengths == [n, n + 1, n + 2, n + 3]
    lengths.clear()
    intervene(model, TEXT, [Change(model.cells.cell_id(0, 4), "=", 9.0, -1)], where="last", n_new=4, own=own)
    assert lengths == [n, 1, n + 1, 1, 1]  # the first kept pass is held to a whole one


def test_a_model_whose_kept_positions_are_wrong_runs_the_whole_text(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    own_forward = model.module.forward

    def forgets(input_ids=None, past_key_values=None, use_cache=None, **named):  # type: ignore[no-untyped-def]
        found = own_forward(input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache, **named)
        if past_key_values is not None:
            found.logits = found.logits + torch.arange(found.logits.shape[-1])
        return found

    ids = ids_of(model)
    model.module.forward = forgets
    grows = Continuation(model, ids)
    with torch.inference_mode():
        grows.next_scores()
        grows.add(3)
        expected = whole(model, torch.cat((ids, torch.tensor([[3]])), dim=1))
        assert torch.equal(grows.next_scores(), expected)
    assert model.keeps_positions is False
