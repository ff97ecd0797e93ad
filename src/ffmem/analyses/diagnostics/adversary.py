"""Other weights that leave a prediction where it is: looked for on each text, and as far away as chance gets.

Wiegreffe and Pinter (2019), section 4, after Jain and Wallace (2019): that such weights exist for one text proves little, since
they are of no one model.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.diagnostics.maps import LayerMaps, Maps, maps_of, row_jsd, shares_of, value_norms
from ffmem.analyses.distances import tvd
from ffmem.models.attention import AttentionLayer, change_attention
from ffmem.models.transformer import Transformer

LIMIT = 0.01
"""How far, in total variation, predictions may go: a mean over the positions of a text."""
_RATE = 0.05
_BEGIN = 0.03
"""Standard deviation of the scores that are begun with: at 0 the divergence has no slope."""
_HALVINGS = 10
_TRIED = 2.0**6
"""By how much the scores of chance may be stretched."""

Changes = dict[str, Tensor]
"""What is added to the logarithms of weights, (heads, queries, keys), by the name of the sub-layer."""


@dataclass(frozen=True)
class OtherWeights:
    """One set of weights beside the model's own, over one text."""

    distance: float
    """TVD of the predictions, mean over positions."""
    jsd: Float[np.ndarray, "rows"]
    """Of the weights, in nats, for each sub-layer, head and query with two sources or more."""
    norm_jsd: Float[np.ndarray, "rows"]
    """The same of shares of ‖alpha f(x)‖."""


@dataclass(frozen=True)
class Adversary:
    """What was found for one text."""

    found: OtherWeights
    chance: OtherWeights
    """Random changes of the scores, as large as the limit lets them be."""
    largest: Float[np.ndarray, "rows"]
    """The largest of the model's own weights of each row."""


def adversary_of(
    model: Transformer,
    ids: Int[Tensor, "positions"],
    *,
    steps: int,
    layers: Collection[str] | None = None,
    limit: float = LIMIT,
    seed: int = 0,
) -> Adversary:
    """Weights in all heads that differ as much as can be while predictions stay.

    Maximises the logarithm of the mean JSD(alpha, alpha') over heads and queries by Adam on the scores of all heads at once,
    with a price on TVD(p, p') that rises while the limit is broken. What counts is the last step, pulled back along a line to
    the limit, or the best one within it on the way, if that is better.

    Args:
        model: one with a head over the vocabulary.
        ids: one text, with special tokens.
        steps: of Adam.
        layers: names of the sub-layers whose weights are changed, and compared; None: all.
        limit: of TVD(p, p'), mean over positions.
        seed: of where it begins, and of the random changes.

    Cost: a pass and one back for each step, and ~25 passes.
    """
    with torch.inference_mode(False), torch.enable_grad():
        search = _Search(model, ids.clone(), limit, layers)
        generator = torch.Generator().manual_seed(seed)
        noise = {
            name: torch.randn(one.weights.shape, generator=generator).to(model.device)
            for name, one in search.own.items()
        }
        changes = search.climb({name: _BEGIN * one for name, one in noise.items()}, steps)
        found = search.measured(search.pulled(changes, 1.0))
        chance = search.measured(search.pulled(noise, _TRIED))
    return Adversary(found, chance, search.largest())


class _Search:
    """One text, and what is tried on it."""

    def __init__(
        self, model: Transformer, ids: Int[Tensor, "positions"], limit: float, layers: Collection[str] | None
    ) -> None:
        self._model, self._ids, self._limit = model, ids, limit
        # copied outside of inference, so that slopes may go through them
        self.own: Maps = {
            name: LayerMaps(one.weights.clone(), one.norms.clone())
            for name, one in maps_of(model, ids).items()
            if layers is None or name in layers
        }
        self._layers = [one for one in model.attention_layers if one.name in self.own]
        self._allowed = {name: one.allowed for name, one in self.own.items()}
        with torch.no_grad():
            self._plain = self._logits()

    def _logits(self) -> Float[Tensor, "positions d_vocab"]:
        logits = self._model.logits(self._ids[None])
        assert logits is not None
        found: Tensor = logits[0].float().log_softmax(-1)
        return found

    def weights(self, name: str, change: Tensor) -> Float[Tensor, "heads queries keys"]:
        """Own weights with something added to their logarithms."""
        own = self.own[name].weights
        scores = own.clamp(min=1e-9).log() + change
        shares = scores.masked_fill(~self._allowed[name], -torch.inf).softmax(-1)
        return shares.nan_to_num() * own.sum(-1, keepdim=True)

    @contextmanager
    def _put(self, weights: Changes, norms: Changes | None = None) -> Iterator[None]:
        def change(layer: AttentionLayer, values: Tensor) -> dict[tuple[int, int], Tensor]:
            if norms is not None:
                norms[layer.name] = value_norms(layer, values[0].detach())
            return {(0, head): weights[layer.name][head] for head in range(layer.n_heads)}

        with change_attention(self._layers, change):
            yield

    def distance(self, changes: Changes) -> Tensor:
        """TVD of predictions with such changes, mean over positions."""
        with self._put({name: self.weights(name, one) for name, one in changes.items()}):
            return tvd(self._plain, self._logits()).mean()

    def divergence(self, changes: Changes) -> Tensor:
        """Mean JSD of the weights, over all rows of two sources or more."""
        every = [
            row_jsd(shares_of(self.own[name].weights), shares_of(self.weights(name, one)))[:, self._counts(name)]
            for name, one in changes.items()
        ]
        return torch.cat([one.flatten() for one in every]).mean()

    def _counts(self, name: str) -> Tensor:
        return self._allowed[name].sum(-1) > 1

    def climb(self, begin: Changes, steps: int) -> Changes:
        """The changes of the last step, or the best within the limit if they are better than those when pulled back."""
        changes = {name: one.clone().requires_grad_() for name, one in begin.items()}
        optimiser = torch.optim.Adam(changes.values(), lr=_RATE)
        price, best, best_at = 1.0, -1.0, {name: torch.zeros_like(one) for name, one in begin.items()}
        for _ in range(steps):
            optimiser.zero_grad()
            gained, distance = self.divergence(changes), self.distance(changes)
            if float(distance.detach()) <= self._limit and float(gained.detach()) > best:
                best = float(gained.detach())
                best_at = {name: one.detach().clone() for name, one in changes.items()}
            loss = -gained.log() + price * (distance / self._limit - 1).clamp(min=0)
            torch.autograd.backward(loss)
            optimiser.step()
            price = price * 1.3 if float(distance.detach()) > self._limit else price / 1.15
        last = self.pulled({name: one.detach() for name, one in changes.items()}, 1.0)
        with torch.no_grad():
            return last if float(self.divergence(last)) > best else best_at

    def pulled(self, changes: Changes, most: float) -> Changes:
        """Changes stretched by a factor of at most ``most``, the largest found by halving that stays within the limit."""

        def by(factor: float) -> Changes:
            return {name: factor * one for name, one in changes.items()}

        with torch.no_grad():
            if float(self.distance(by(most))) <= self._limit:
                return by(most)
            low, high = 0.0, most
            for _ in range(_HALVINGS):
                middle = (low + high) / 2 if low else high / 4
                low, high = (middle, high) if float(self.distance(by(middle))) <= self._limit else (low, middle)
        return by(low)

    def measured(self, changes: Changes) -> OtherWeights:
        """What such changes come to."""
        norms: Changes = {}
        with torch.no_grad():
            weights = {name: self.weights(name, one) for name, one in changes.items()}
            with self._put(weights, norms):
                distance = tvd(self._plain, self._logits()).mean()
        rows, norm_rows = [], []
        for name, own in self.own.items():
            counts = self._counts(name)
            rows.append(row_jsd(shares_of(own.weights), shares_of(weights[name]))[:, counts])
            norm_rows.append(row_jsd(own.norm_rows, shares_of(weights[name] * norms[name][:, None]))[:, counts])
        return OtherWeights(float(distance), _flat(rows), _flat(norm_rows))

    def largest(self) -> Float[np.ndarray, "rows"]:
        """The largest own weight of each row."""
        return _flat([one.weights.amax(-1)[:, self._counts(name)] for name, one in self.own.items()])


def _flat(some: list[Tensor]) -> Float[np.ndarray, "rows"]:
    found: np.ndarray = torch.cat([one.flatten() for one in some]).double().cpu().numpy()
    return found
