"""Knowledge cells: those that the probability of an answer goes through, by integrated gradients (Dai et al. 2022)."""

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from ffmem.analyses.editing.asking import Asked, own_logits
from ffmem.analyses.editing.options import EditOptions
from ffmem.analyses.editing.outputs import check_editable, key_coefficients
from ffmem.models.transformer import Transformer

_SHARED = 0.5
"""A cell counts if it is found for more than this share of the prompts."""
_MOST = 20
"""Cells of a fact, the strongest: the authors aim at 2 to 5."""


def attributions(model: Transformer, place: int, row: Asked, n_steps: int) -> Float64[Tensor, "cells"]:
    """M (1/n) sum of dP(answer's first token)/dm at k/n m, of a layer's cells at the position that predicts it.

    Args:
        model: whose layer.
        place: of the layer.
        row: a prompt and its answer.
        n_steps: n.

    Cost: n passes of the prompt, and n back down to the layer.
    """
    prompt = Asked(row.ids[: row.at[0] + 1] if model.facts.causal else row.ids, row.at[:1], row.targets[:1], row.at[0])
    own = key_coefficients(model, [place], [prompt])[place][0].to(model.device)
    at_once = n_steps if model.batching.rows != "alone" else 1
    total = torch.zeros_like(own)
    for first in range(1, n_steps + 1, at_once):
        parts = torch.arange(first, first + at_once, device=own.device) / n_steps
        total += _gradients(model, place, prompt, own * parts[:, None]).sum(0)
    return (own * total / n_steps).cpu()


def _gradients(
    model: Transformer, place: int, prompt: Asked, coefficients: Float64[Tensor, "steps cells"]
) -> Float64[Tensor, "steps cells"]:
    """dP/dm where the cells of a layer have these coefficients at the prompt's key."""
    given = coefficients.float().requires_grad_()

    def change(layer: int, m: Tensor) -> Tensor | None:
        if layer != place:
            return None
        here = (torch.arange(m.shape[1], device=m.device) == prompt.key)[None, :, None]
        return torch.where(here, given[:, None].to(m.dtype), m.detach())

    ids = torch.tensor([prompt.ids], device=model.device).expand(len(given), -1)
    with torch.enable_grad(), model.change_coefficients(change):
        scores = own_logits(model, ids, None)[:, prompt.at[0]].float()
        probability = scores.softmax(-1)[:, prompt.targets[0]].sum()
        (gradient,) = torch.autograd.grad(probability, given)
    return gradient.double()


def knowledge_cells(model: Transformer, rows: Sequence[Asked], options: EditOptions) -> list[tuple[int, int]]:
    """The cells whose attribution is above a share of the largest, for more than half of the prompts.

    Args:
        model: any that answers.
        rows: prompts that ask the same, each with the old answer.
        options: how many steps, which share, and --layer: None for all layers.

    Returns:
        place and row of each, the most often found first; then by place and row.

    Cost: steps x layers x prompts passes, and as many back.
    """
    places = range(model.facts.n_layers) if options.layer is None else [options.layer]
    check_editable(model, places[-1])
    counts: Counter[tuple[int, int]] = Counter()
    strength: Counter[tuple[int, int]] = Counter()
    for row in rows:
        found = {place: attributions(model, place, row, options.gradient_steps) for place in places}
        largest = max(float(one.max()) for one in found.values())
        if largest <= 0:
            continue
        for place, one in found.items():
            for cell in (one > options.share * largest).nonzero().squeeze(1).tolist():
                counts[place, cell] += 1
                strength[place, cell] += float(one[cell]) / largest  # type: ignore[assignment] # sums of shares
    shared = [cell for cell, n in counts.items() if n > _SHARED * len(rows)]
    return sorted(shared, key=lambda cell: (-strength[cell], cell))[:_MOST]
