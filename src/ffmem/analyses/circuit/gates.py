"""Integrated gradients: cells and heads are let through little by little, all together, and what each share is worth adds up.

A coefficient on its way is base + s (m - base), with the m that the model gives at that moment. Integrated over s from 0 to
1, what the shares are worth adds up to the score less that with all cells at their base: exactly, but for the number of
steps, and for experts, which come and go on the way.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.attention import AttentionLayer, hooked
from ffmem.models.transformer import Transformer

Base = Callable[[int], Tensor | float]
"""From a layer to what its coefficients are where nothing is let through: (rows or 1, positions, cells), or one number."""


@dataclass(frozen=True)
class Shares:
    """What was worth something when it was let through, by layer."""

    cells: tuple[Float[Tensor, "rows positions cells"], ...]
    heads: tuple[Float[Tensor, "rows positions heads"], ...]
    """Empty where heads are always let through."""


def last_logits(model: Transformer, ids: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows d_vocab"]:
    """The model's own scores after the last position alone."""
    return model.unembedding.of_normed(model.forward(ids)[:, -1]).float()


def differences(
    logits: Float[Tensor, "rows d_vocab"], right: Sequence[int], wrong: Sequence[int | None]
) -> Float[Tensor, "rows"]:
    """Of each row the score of one token, less that of another if there is one; float64."""
    rows = torch.arange(len(logits), device=logits.device)
    found = logits.double()[rows, torch.tensor(right, device=logits.device)]
    taken = torch.tensor([0 if one is None else one for one in wrong], device=logits.device)
    there = torch.tensor([one is not None for one in wrong], device=logits.device)
    return found - torch.where(there, logits.double()[rows, taken], 0.0)


def integrated(
    model: Transformer,
    ids: Int[Tensor, "rows positions"],
    right: Sequence[int],
    wrong: Sequence[int | None],
    *,
    base: Base = lambda _: 0.0,
    steps: int = 10,
    with_heads: bool = False,
) -> Shares:
    """Integrated gradients of a score, in the model itself.

    Args:
        model: a causal model.
        ids: inputs of equal length.
        right: of each row the token whose score is asked.
        wrong: a token whose score is taken off, or None.
        base: what coefficients are where they are not let through.
        steps: midpoints of so many equal parts of the way.
        with_heads: heads are let through little by little, too, from 0.

    Cost: ``steps`` forward passes and as many back.
    """
    if steps < 1:
        raise InputError(f"there are {steps} steps", "Expected at least 1", "Write --steps 10")
    found = [_worth(model, ids, right, wrong, base, (step + 0.5) / steps, with_heads) for step in range(steps)]
    return Shares(
        tuple(torch.stack(one).sum(0) / steps for one in zip(*(step.cells for step in found), strict=True)),
        tuple(torch.stack(one).sum(0) / steps for one in zip(*(step.heads for step in found), strict=True)),
    )


def score_at(
    model: Transformer,
    ids: Int[Tensor, "rows positions"],
    right: Sequence[int],
    wrong: Sequence[int | None],
    *,
    base: Base = lambda _: 0.0,
    share: float,
    with_heads: bool = False,
) -> Float[Tensor, "rows"]:
    """The score on the way: where as much of every cell, and head, is let through."""
    with _gated(model, _Gates(share, base), with_heads=with_heads):
        return differences(last_logits(model, ids), right, wrong).detach()


def gradient_times_activation(
    model: Transformer,
    ids: Int[Tensor, "rows positions"],
    right: Sequence[int],
    wrong: Sequence[int | None],
    *,
    base: Base = lambda _: 0.0,
) -> Shares:
    """(m - base) times the gradient of the score, in the model itself.

    Raises:
        InputError: a mixture of experts, whose coefficients have no gradient while they are as they are.
    """
    if any(layer.n_experts for layer in model.cells.layers):
        raise InputError(
            f"{model.facts.name} is a mixture of experts, whose cells have no gradient here",
            "Expected relevance (relp) or integrated gradients (ig)",
            "Leave the gradient out",
        )
    return _worth(model, ids, right, wrong, base, 1.0, with_heads=False)


@dataclass
class _Gates:
    """Leaves of what autograd follows: the share of each cell, and of each head, that is let through."""

    share: float
    base: Base
    cells: dict[int, Tensor] = field(default_factory=dict)
    heads: dict[int, Tensor] = field(default_factory=dict)

    def let_cells(self, layer: int, coefficients: Tensor) -> Tensor:
        """As `change_coefficients` asks."""
        gate = self.cells[layer] = torch.full_like(coefficients.detach(), self.share).requires_grad_()
        base = self.base(layer)
        return base + gate * (coefficients - base)

    def let_heads(self, layer: AttentionLayer, mixed: Tensor) -> Tensor:
        """As `AttentionLayer.change_heads` asks."""
        gate = self.heads[layer.place] = torch.full_like(mixed[..., 0].detach(), self.share).requires_grad_()
        return mixed * gate[..., None]


@contextmanager
def _gated(model: Transformer, gates: _Gates, *, with_heads: bool) -> Iterator[None]:
    layers = model.attention_layers if with_heads else ()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        model.change_coefficients(gates.let_cells),
        hooked(stop for layer in layers for stop in layer.change_heads(gates.let_heads)),
    ):
        yield


def _worth(
    model: Transformer,
    ids: Tensor,
    right: Sequence[int],
    wrong: Sequence[int | None],
    base: Base,
    share: float,
    with_heads: bool,
) -> Shares:
    """What one more of each share is worth, all being ``share``."""
    gates = _Gates(share, base)
    with _gated(model, gates, with_heads=with_heads):
        score = differences(last_logits(model, ids), right, wrong).sum()
        leaves = [gates.cells[layer] for layer in sorted(gates.cells)]
        leaves += [gates.heads[layer] for layer in sorted(gates.heads)]
        found = torch.autograd.grad(score, leaves)
    n = len(gates.cells)
    return Shares(found[:n], found[n:])
