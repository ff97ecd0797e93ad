"""The last position run again, against passes of the whole text with a hook of plain torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ffmem
from ffmem.models.base import Batching
from ffmem.models.last_position import LastPosition
from ffmem.models.transformer import Transformer

TEXT = "The silver river of the winter village"
VARIANTS = ["llama", "gpt2", "gptj", "falcon_alibi", "bloom", "gemma2", "opt_post_ln", "mixtral", "wikilm"]
"""Gated and not, positions of all kinds, windows, layers that give tuples, norms after sums, experts, our own."""


def ids_of(model: Transformer) -> torch.Tensor:
    before, _ = model.special_tokens("auto")
    return torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])


def plain(model: Transformer, place: int, removed: torch.Tensor) -> torch.Tensor:
    """The model's own scores after the text, with a vector taken off what one layer adds at its end."""

    def take_off(_: Any, __: Any, output: Any) -> Any:
        y = output[0] if isinstance(output, tuple) else output
        changed = y.clone()
        changed.view(-1, y.shape[-1])[-1] -= removed
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = model.layer(place).output_module.register_forward_hook(take_off)
    try:
        with torch.no_grad():
            return model.module(ids_of(model)).logits[0, -1]
    finally:
        handle.remove()


def check(model: Transformer, last: LastPosition) -> None:
    generator = torch.Generator().manual_seed(0)
    n_layers, d_model = model.facts.n_layers, model.facts.d_model
    places = torch.tensor([2, 0, 1, 1, n_layers - 1, 0])
    removed = torch.randn(len(places), d_model, generator=generator)
    removed[-1] = 0.0
    states = last.final_states(places, removed)
    with torch.no_grad():
        scores = model.project(states, model.unembedding.own_projection)
    for number, (place, vector) in enumerate(zip(places.tolist(), removed, strict=True)):
        expected = plain(model, place, vector)
        assert torch.allclose(scores[number].log_softmax(-1), expected.log_softmax(-1), atol=2e-5), (number, place)
    assert not torch.allclose(scores[0], scores[-1], atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_a_hook_in_a_pass_of_the_whole_text(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(variant))
    clean = model.logits(ids_of(model))
    last = LastPosition(model, ids_of(model))
    assert last.keeps and last.error < 1e-5
    check(model, last)
    with pytest.raises(RuntimeError):
        last.final_states(torch.tensor([1]), torch.zeros(1, model.facts.d_model + 1))
    assert torch.equal(model.logits(ids_of(model)), clean)  # no hook, and no layer that is passed over, stays


def test_a_model_that_does_not_go_on_from_what_was_kept(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it has kept positions, and forgets them."""
    model = ffmem.load_model(tiny_folder("wikilm"))
    forward = model.module.model.forward

    def forgetful(*given: Any, past_key_values: Any = None, **named: Any) -> Any:
        return forward(*given, **named)

    monkeypatch.setattr(model.module.model, "forward", forgetful)
    last = LastPosition(model, ids_of(model))
    assert not last.keeps and last.error < 1e-5
    check(model, last)


def test_a_model_whose_rows_run_alone(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    model.batching = Batching(causal=True, rows="alone")
    rows: list[int] = []
    handle = model.layer(2).output_module.register_forward_hook(lambda _, __, output: rows.append(len(output)))
    check(model, LastPosition(model, ids_of(model)))
    handle.remove()
    assert set(rows) == {1}


@pytest.mark.parametrize("variant", ["gpt2", "wikilm"])
def test_a_text_of_one_token_has_nothing_before_it(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(variant))
    last = LastPosition(model, torch.tensor([[40]]))
    assert not last.keeps
    with torch.no_grad():
        own = model.module(torch.tensor([[40]])).logits[0, -1]
        scores = model.project(
            last.final_states(torch.tensor([1]), torch.zeros(1, 32)), model.unembedding.own_projection
        )
    assert torch.allclose(scores[0].log_softmax(-1), own.log_softmax(-1), atol=1e-5)


def test_our_own_model_goes_on_from_kept_positions(tiny_folder: Callable[[str], Path]) -> None:
    """Several positions behind several, with padding on the left, by both ways to compute attention."""
    module = ffmem.load_model(tiny_folder("wikilm")).module.model
    ids = torch.randint(3, 200, (2, 9), generator=torch.Generator().manual_seed(1))
    for mask in (None, torch.tensor([[0, 0] + [1] * 7, [1] * 9])):
        first = None if mask is None else mask[:, :4]
        for way in ("sdpa", "eager"):
            module.config._attn_implementation = way
            with torch.no_grad():
                whole = module(ids, mask)[0]
                kept = module(ids[:, :4], first, use_cache=True)
                rest = module(ids[:, 4:], mask, past_key_values=kept.past_key_values, use_cache=True)[0]
            real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
            assert torch.allclose(torch.cat([kept[0], rest], 1)[real], whole[real], atol=1e-5), (way, mask)
