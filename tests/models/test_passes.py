"""What a model is called with, and what comes back: seen at its own modules, against its plain call."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem.models.transformer import Transformer

Loaded = Callable[[str], Transformer]


def given(module: Any, run: Callable[[], Any]) -> dict[str, Any]:
    """What a module is called with."""
    seen: dict[str, Any] = {}
    handle = module.register_forward_pre_hook(lambda _, __, named: seen.update(named), with_kwargs=True)
    try:
        with torch.no_grad():
            run()
    finally:
        handle.remove()
    return seen


def test_a_causal_model_is_given_a_mask_only_for_padding_on_the_left(loaded: Loaded) -> None:
    model = loaded("gpt2")
    ids = torch.tensor([[5, 6, 7], [8, 9, 1]])
    for mask in (None, torch.tensor([[1, 1, 1], [1, 1, 0]])):
        seen = given(model.module.transformer, lambda mask=mask: model.forward(ids, mask))
        assert seen["attention_mask"] is None and seen["use_cache"] is False
    left = torch.tensor([[1, 1, 1], [0, 1, 1]])
    assert torch.equal(given(model.module.transformer, lambda: model.forward(ids, left))["attention_mask"], left)


def test_an_encoder_is_given_one_always(loaded: Loaded) -> None:
    model = loaded("bert")
    ids = torch.tensor([[5, 6, 7]])
    seen = given(model.module.bert, lambda: model.forward(ids))
    assert torch.equal(seen["attention_mask"], torch.ones_like(ids)) and "use_cache" not in seen


@pytest.mark.parametrize("target", [None, torch.tensor([[3, 12, 13]])])
@torch.no_grad()
def test_a_decoder_reads_the_same_tokens_after_its_start_unless_others_are_given(
    target: Tensor | None, loaded: Loaded
) -> None:
    model = loaded("t5")
    ids = torch.tensor([[5, 6, 7, 8]])
    start = model.module.config.decoder_start_token_id
    expected = torch.tensor([[start, 5, 6, 7, 8]]) if target is None else target
    assert torch.equal(given(model.module.decoder, lambda: model.forward(ids, None, target))["input_ids"], expected)
    plain = model.module(input_ids=ids, decoder_input_ids=expected, output_hidden_states=True)
    first = 1 if target is None else 0  # the states at the tokens, without that at the start
    logits, state = model.logits(ids, None, target), model.forward(ids, None, target)
    assert logits is not None and torch.allclose(logits, plain.logits[:, first:], atol=1e-5)
    assert torch.allclose(state, plain.decoder_hidden_states[-1][:, first:], atol=1e-5)
