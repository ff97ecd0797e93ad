"""A text that grows token by token, without running again the positions that were run already."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.models.transformer import Transformer

_TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""By how much a score may differ where positions were kept, as a share of the largest, before all are run each time."""


class Continuation:
    """Scores of the next token of a text of a causal model, and of what is written on behind it.

    Of a causal model no position sees those behind it, so attention keeps what it has of them, and only the new token is
    run. The first time a model does so it is held to a pass of the whole text; if the two differ by more than rounding, or
    the model keeps nothing, the whole text is run each time.

    Args:
        model: a causal model.
        token_ids: the text.
        keep: False: run the whole text each time, as is needed where a position changes once others follow.

    Cost: a pass of the text, then one of a single position a token; the first time for a model, one of the text more.
    """

    def __init__(self, model: Transformer, token_ids: Int[Tensor, "one positions"], keep: bool = True) -> None:
        self._model, self._ids = model, token_ids
        self._keep = keep and model.keeps_positions is not False and not model.batching.fresh
        self._kept: Any = None
        self.n_kept = 0
        """Positions that the pass under way does not run."""

    def add(self, token_id: int) -> None:
        """Write a token on."""
        self._ids = torch.cat((self._ids, self._ids.new_tensor([[token_id]])), dim=1)

    def next_scores(self) -> Float[Tensor, "d_vocab"]:
        """The model's own scores of the next token."""
        if not self._keep:
            return self._whole()
        self.n_kept = 0 if self._kept is None else self._ids.shape[1] - 1
        scores, kept = self._model.logits_keeping(self._ids[:, self.n_kept :], self._kept)
        found = scores[0, -1].float()
        if kept is None:
            self._model.keeps_positions = self._keep = False
        elif self._kept is not None and self._model.keeps_positions is None:
            found = self._held_to_whole(found)
        self._kept = kept
        return found

    def _whole(self) -> Float[Tensor, "d_vocab"]:
        self.n_kept = 0
        scores = self._model.logits(self._ids)
        assert scores is not None  # causal models have heads
        return scores[0, -1].float()

    def _held_to_whole(self, found: Float[Tensor, "d_vocab"]) -> Float[Tensor, "d_vocab"]:
        """The scores that count: those of one position if they are those of the whole text, to rounding."""
        whole = self._whole()
        limit = _TOLERANCE.get(self._model.facts.dtype, _TOLERANCE["float32"]) * float(whole.abs().max())
        holds = float((found - whole).abs().nan_to_num(torch.inf).max()) <= limit
        self._model.keeps_positions = self._keep = holds
        return found if holds else whole
