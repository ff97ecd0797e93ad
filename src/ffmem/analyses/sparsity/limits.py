"""What counts as active where no coefficient is exactly 0: contributions above a size below which none is missed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn.functional import cross_entropy

from ffmem.analyses.prefixes import passes
from ffmem.analyses.sparsity.stretch import Stretch
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

MORE_LOSS = log(1.01)
"""Nats by which the loss may rise: 1 % of the perplexity."""
SHARE = 0.01
"""Share of a layer's energy that is dropped where a model has no perplexity."""
_STEPS = 9
"""Of the search, which so ends within 3 % of the share that it looks for."""
_LEAST, _MOST = 1e-5, 0.9
"""Shares of the energy between which it is looked for."""
_POSITIONS = 256
"""Positions whose contributions say how their sizes are spread."""


@dataclass(frozen=True)
class Limits:
    """The size |m||v| of each layer below which contributions are taken for 0."""

    limits: tuple[float, ...]
    dropped: float
    """Share of each layer's energy that lies below."""
    loss: float
    """Of the model as it is, in nats a token; NaN where it has none."""
    loss_without: float
    """With what lies below each limit put to 0 in all layers at once."""

    @property
    def more_perplexity(self) -> float:
        """By which share the perplexity is higher without."""
        return exp(self.loss_without - self.loss) - 1


def cuts_to_zero(model: Transformer) -> bool:
    """Whether coefficients are exactly 0 where they are not above 0, as after a ReLU: then m > 0 is what active means."""
    if model.facts.gated:
        return False
    below = -torch.logspace(-6, 3, 200)
    activations = [model.activation_of(place) for place in range(model.facts.n_layers)]
    return all(one is not None and not one(below).any() for one in activations)


def perplexity_limits(
    model: Transformer, stretch: Stretch, bos: Bos, listen: Callable[[int, int], None] = lambda *_: None
) -> Limits:
    """The largest limits that cost at most 1 % of the perplexity, if as large a share of each layer's energy lies below them.

    The share is looked for by halving, from 1e-5 to 0.9 on a scale of its logarithm, with all layers cut at once.

    Args:
        model: one that predicts the next token; of another, the limits have 1 % of the energy below them.
        stretch: what it is asked to predict.
        bos: special tokens.
        listen: told how many steps are done, of how many.

    Cost: ten forward passes over the stretch.
    """
    energies = [_Sizes(one) for one in _sizes(model, stretch.some(_POSITIONS), bos)]
    if not model.facts.predicts_next_token:
        return Limits(tuple(one.limit(SHARE) for one in energies), SHARE, float("nan"), float("nan"))
    whole = _loss(model, stretch, bos, None)
    low, high = log(_LEAST), log(_MOST)
    best = Limits(tuple(one.limit(_LEAST) for one in energies), _LEAST, whole, whole)
    for step in range(_STEPS):
        middle = (low + high) / 2
        limits = tuple(one.limit(exp(middle)) for one in energies)
        loss = _loss(model, stretch, bos, limits)
        if loss <= whole + MORE_LOSS:
            low, best = middle, Limits(limits, exp(middle), whole, loss)
        else:
            high = middle
        listen(step + 1, _STEPS)
    return best


class _Sizes:
    """Sizes of contributions, in order, and what share of their energy lies at or below each."""

    def __init__(self, sizes: Float64[np.ndarray, "n"]) -> None:
        self._sizes = np.sort(sizes)
        energy = np.cumsum(self._sizes**2)
        self._shares = energy / max(energy[-1], 1e-300)

    def limit(self, share: float) -> float:
        """The largest size that leaves no more than this share at or below itself; 0 if already the smallest has more."""
        n = int(np.searchsorted(self._shares, share, side="right"))
        return float(self._sizes[n - 1]) if n else 0.0


def _sizes(model: Transformer, stretch: Stretch, bos: Bos) -> list[Float64[np.ndarray, "n"]]:
    """The sizes of the contributions of each layer at the positions that count."""
    found: list[list[np.ndarray]] = [[] for _ in model.cells.layers]
    lengths = value_lengths(model)
    for one in passes(model, stretch.tokens, bos, device=str(model.device)):

        def keep(place: int, m: Tensor, sentences: Sequence[int] = one.sentences, first: int = one.first) -> None:
            for row, sentence in enumerate(sentences):
                own = m[row, first + int(stretch.skip[sentence]) : first + len(stretch.tokens[sentence])].float()
                found[place].append((own.abs() * lengths[place]).cpu().double().numpy().reshape(-1))

        with torch.inference_mode(), model.watch_coefficients(keep):
            model.forward(one.token_ids, one.attention_mask)
    return [np.concatenate(one) for one in found]


def value_lengths(model: Transformer) -> list[Tensor]:
    """The length of the value of each cell, by layer."""
    return [model.values(place).float().norm(dim=1) for place in range(len(model.cells.layers))]


def _loss(model: Transformer, stretch: Stretch, bos: Bos, limits: Sequence[float] | None) -> float:
    """Mean loss in nats of the tokens that follow another of their sentence, with what lies below limits put to 0."""
    lengths, total, n = value_lengths(model), 0.0, 0

    def cut(place: int, m: Tensor) -> Tensor | None:
        return None if limits is None else torch.where(m.abs() * lengths[place] > limits[place], m, 0)

    for one in passes(model, stretch.tokens, bos, device=str(model.device)):
        with torch.inference_mode(), model.change_coefficients(cut):
            logits = model.logits(one.token_ids, one.attention_mask)
        assert logits is not None
        for row, sentence in enumerate(one.sentences):
            own = torch.from_numpy(stretch.tokens[sentence]).to(logits.device)
            predicted = logits[row, one.first : one.first + len(own) - 1].float()
            total += float(cross_entropy(predicted, own[1:], reduction="sum"))
            n += len(own) - 1
    return total / max(n, 1)
