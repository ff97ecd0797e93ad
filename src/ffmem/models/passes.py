"""The model's own calls on token ids: its final states, and its logits."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.models.base import Family, Layout
from ffmem.models.feed_forward import at


class Passes:
    """What a model is called with; see `Transformer.forward` and `Transformer.logits`.

    Args:
        module: the model.
        family: its family.
        backbones: the model without its head, or both stacks of an encoder-decoder.
        layouts: one for each.
    """

    def __init__(self, module: Any, family: Family, backbones: Sequence[nn.Module], layouts: Sequence[Layout]) -> None:
        self._module, self._family, self._backbones, self._layouts = module, family, backbones, layouts

    def state(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None,
        target_ids: Int[Tensor, "batch targets"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch positions d_model"] | Float[Tensor, "batch targets d_model"]:
        """The final hidden state."""
        mask = _mask(token_ids, attention_mask, causal)
        if self._layouts[0].final_state:
            return self._state_within(token_ids, mask)
        state: Tensor = self._backbones[0](input_ids=token_ids, attention_mask=mask, **self._no_cache(0))[0]
        if len(self._backbones) == 1:
            return state
        state = self._backbones[1](
            input_ids=self._decoder_ids(token_ids) if target_ids is None else target_ids,
            encoder_hidden_states=state,
            encoder_attention_mask=mask,
            use_cache=False,
        )[0]
        return state[:, 1:] if target_ids is None else state

    def _state_within(self, token_ids: Tensor, mask: Tensor | None) -> Tensor:
        """The final state of a model that has no part which is given ids and gives it."""
        seen: list[Tensor] = []
        module = at(self._module, self._layouts[0].final_state)
        handle = module.register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            self._module(input_ids=token_ids, attention_mask=mask, **self._no_cache(-1))
        finally:
            handle.remove()
        return seen[-1] if isinstance(seen[-1], Tensor) else seen[-1][0]

    def logits(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None,
        target_ids: Int[Tensor, "batch targets"] | None,
        *,
        causal: bool,
    ) -> Float[Tensor, "batch positions d_vocab"] | Float[Tensor, "batch targets d_vocab"]:
        """Its own logits, of a model that has a head."""
        decoder = {}
        if len(self._backbones) > 1:
            decoder["decoder_input_ids"] = self._decoder_ids(token_ids) if target_ids is None else target_ids
        mask = _mask(token_ids, attention_mask, causal)
        scores: Tensor = self._module(input_ids=token_ids, attention_mask=mask, **decoder, **self._no_cache(-1)).logits
        return scores[:, 1:] if decoder and target_ids is None else scores

    def logits_keeping(
        self, token_ids: Int[Tensor, "batch positions"], kept: Any
    ) -> tuple[Float[Tensor, "batch positions d_vocab"], Any]:
        """Its own logits of what follows positions that attention has kept, and what it keeps then; see `Transformer`."""
        taken = inspect.signature(self._module.forward).parameters
        if len(self._backbones) > 1 or not {"use_cache", "past_key_values"} <= taken.keys():
            return self.logits(token_ids, None, None, causal=True), None
        output = self._module(input_ids=token_ids, past_key_values=kept, use_cache=True)
        found = output.get("past_key_values")
        return output.logits, found if hasattr(found, "get_seq_length") else None

    def _decoder_ids(self, token_ids: Int[Tensor, "batch positions"]) -> Int[Tensor, "batch positions_and_one"]:
        start = token_ids.new_full((len(token_ids), 1), self._module.config.decoder_start_token_id)
        return torch.cat((start, token_ids), dim=1)

    def _no_cache(self, stack: int) -> dict[str, bool]:
        """Encoders do not know the argument."""
        if not self._family.causal and self._layouts[stack].stack != "dec":
            return {}
        called = self._module.forward if stack < 0 else self._backbones[stack].forward
        taken = inspect.signature(called).parameters
        return {"use_cache": False} if "use_cache" in taken or not self._family.by_structure else {}


def _mask(token_ids: Tensor, attention_mask: Tensor | None, causal: bool) -> Tensor | None:
    """The mask that the model is given: if it is causal only for padding on the left, always one if it is not."""
    if causal and (attention_mask is None or not bool((attention_mask.diff(dim=1) > 0).any())):
        return None
    if attention_mask is None:
        return torch.ones_like(token_ids)
    return attention_mask.to(token_ids.device, non_blocking=True)
