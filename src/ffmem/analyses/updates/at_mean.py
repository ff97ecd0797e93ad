"""Cells of the last layer put to their mean: what that does through the final norm, or along a direction (Stolfo 2024)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.prefixes import passes, rows_of
from ffmem.analyses.updates.positions import Positions
from ffmem.analyses.updates.readout import Readout
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Measure = Literal["entropy", "loss", "divergence"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
"""Of a prediction p: its entropy, -ln of the probability of the next token, and KL(unigram || p); all in nats."""
Way = Literal["total", "direct", "kept"]
WAYS: tuple[Way, ...] = get_args(Way)
"""The final norm recomputed; kept at the scale that it had; recomputed, with what scores have of one direction kept."""
_BATCH_TOKENS, _PRODUCTS_HELD, _SCORES_HELD = 256, 2**23, 2**20


@dataclass(frozen=True)
class LastStates:
    """The last layer at some positions."""

    states: Float[Tensor, "n d_model"]
    """What the norm after it reads: r + y."""
    coefficients: Float[Tensor, "n cells"]
    added_scale: Float[Tensor, "n"]
    """What values are multiplied with on their way into the stream: 1, but in "sandwich" layers, whose norm stays as it was."""


def last_states(model: Transformer, positions: Positions, *, bos: Bos) -> LastStates:
    """The last layer at some positions.

    Cost: a forward pass of each sentence; memory of the coefficients of one layer.
    """
    last, parts, order = model.facts.n_layers - 1, [], []
    with torch.inference_mode():
        for one in passes(
            model, positions.prefixes.sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device)
        ):
            some, rows, columns = rows_of(positions.prefixes, one)
            if len(some):
                parts.append(_of_pass(model, trace(model, one.token_ids, one.attention_mask, at=(rows, columns))[last]))
                order.append(some)
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(parts[0].states.device)
    columns_of = {name: torch.cat([getattr(part, name) for part in parts])[back] for name in vars(parts[0])}
    return LastStates(**columns_of)


def _of_pass(model: Transformer, traced: LayerTrace) -> LastStates:
    last = model.facts.n_layers - 1
    layout, m = model.layout(last), traced.coefficients[0].float()
    states = traced.residual[0] + traced.ff_update[0]
    scale = m.new_ones(len(m))
    if layout.post_ff_norm:
        norm = model.layer(last).at(layout.post_ff_norm)
        scale = model.unembedding.freeze(norm, traced.ff_output[0]).scale.float()
    return LastStates(states, m, scale)


@dataclass(frozen=True)
class Effects:
    """What putting a cell to its mean does to predictions: after it, less before."""

    cells: Int[np.ndarray, "cells"]
    change: Float[np.ndarray, "cells ways measures n"]
    """NaN for ways that were not asked for."""

    def of(self, measure: Measure, way: Way) -> Float[np.ndarray, "cells n"]:
        """The change of one measure in one way."""
        found: np.ndarray = self.change[:, WAYS.index(way), MEASURES.index(measure)]
        return found


class CellsAtMean:
    """Cells of the last layer, one at a time, at their mean over the positions.

    Args:
        model: a causal language model.
        readout: of it.
        states: of the positions.
        following: the token after each.
        unigram: the probability of each token.
    """

    def __init__(
        self,
        model: Transformer,
        readout: Readout,
        states: LastStates,
        following: Int[np.ndarray, "n"],
        unigram: Float[Tensor, "d_vocab"],
    ) -> None:
        self._readout, self._states = readout, states
        self._values = model.value_rows(model.facts.n_layers - 1)
        self._following = torch.from_numpy(following).to(self._values.device)
        self._unigram = unigram.float().to(self._values.device)
        self._own_entropy = float(torch.special.entr(self._unigram).sum())

    def measure(
        self,
        cells: Int[np.ndarray, "cells"],
        ways: Sequence[Way],
        keep: Float[Tensor, "d_model"] | None = None,
        on_block: Callable[[int, int], None] = lambda done, n: None,
    ) -> Effects:
        """What putting each cell to its mean does.

        Args:
            cells: rows of the last layer.
            ways: which.
            keep: the direction, of length 1, for "kept".
            on_block: called with positions done, and all.

        Cost: for each cell, way and position a few operations for each token of the vocabulary; a head that is not linear is
            computed anew for each.
        """
        # without a norm there is no scale to keep: it is the same number, and not computed twice
        same = self._readout.norm is None and {"total", "direct"} <= set(ways)
        asked = [way for way in ways if not (same and way == "direct")]
        n, rows = len(self._states.states), torch.from_numpy(cells).to(self._values.device)
        found = np.full((len(cells), len(WAYS), len(MEASURES), n), np.nan, dtype=np.float32)
        with torch.inference_mode():
            own = self._states.coefficients[:, rows]
            away = (own.mean(0) - own) * self._states.added_scale[:, None]
            added = {
                way: [self._added(value, keep if way == "kept" else None) for value in self._values[rows]]
                for way in asked
            }
            for few, products in self._blocks():
                block = _Block(self, few, products)
                for way in asked:
                    for number, one in enumerate(added[way]):
                        found[number, WAYS.index(way), :, few] = block.change(away[few, number], one, way).T
                on_block(few.stop, n)
        if same:
            found[:, WAYS.index("direct")] = found[:, WAYS.index("total")]
        return Effects(cells, found)

    def _added(self, value: Float[Tensor, "d_model"], keep: Float[Tensor, "d_model"] | None) -> "_Added":
        if keep is not None:
            value = _without(self._readout, value, keep)
        return _Added(value, self._readout.matrix @ value if self._readout.is_linear else None)

    def _blocks(self) -> Iterator[tuple[slice, Float[Tensor, "few d_vocab"] | None]]:
        """Positions whose scores stay in a processor's cache while they are looked at, and U' times their states."""
        n, d_vocab = len(self._states.states), len(self._readout.matrix)
        wide, narrow = (max(1, size // d_vocab) for size in (_PRODUCTS_HELD, _SCORES_HELD))
        for first in range(0, n, wide):
            states = self._states.states[first : first + wide]
            products = self._readout.products(states) if self._readout.is_linear else None
            for place in range(0, len(states), narrow):
                few = slice(place, min(place + narrow, len(states)))
                yield slice(first + few.start, first + few.stop), None if products is None else products[few]

    def measures(self, scores: Float[Tensor, "few d_vocab"], few: slice) -> Float[Tensor, "few measures"]:
        """`MEASURES` of predictions."""
        log_p = scores.log_softmax(1)
        entropy = -torch.linalg.vecdot(log_p.exp(), log_p)
        loss = -log_p.gather(1, self._following[few, None])[:, 0]
        divergence = -(log_p @ self._unigram) - self._own_entropy
        return torch.stack([entropy, loss, divergence], 1)


@dataclass(frozen=True)
class _Added:
    """What is added to states, in some amounts."""

    value: Float[Tensor, "d_model"]
    products: Float[Tensor, "d_vocab"] | None
    """U' times it; None if the head is not linear."""


class _Block:
    """Some positions, and what they predict as they are."""

    def __init__(self, at_mean: CellsAtMean, few: slice, products: Float[Tensor, "few d_vocab"] | None) -> None:
        self._of, self._few, self._products = at_mean, few, products
        self._states = at_mean._states.states[few].float()
        self._scale = at_mean._readout.scale(self._states)
        own = None if products is None else products.clone()
        self._before = at_mean.measures(at_mean._readout.scores(self._states, self._scale, own), few)

    def change(self, away: Float[Tensor, "few"], added: _Added, way: Way) -> np.ndarray:
        """The measures with so much of a value added, less those without."""
        readout, products = self._of._readout, self._products
        states = self._states + away[:, None] * added.value
        scale = self._scale if way == "direct" else readout.scale(states)
        if products is not None and added.products is not None:
            products = torch.addr(products, away, added.products)
        after = self._of.measures(readout.scores(states, scale, products), self._few)
        return (after - self._before).cpu().numpy()


def _without(
    readout: Readout, value: Float[Tensor, "d_model"], direction: Float[Tensor, "d_model"] | None
) -> Float[Tensor, "d_model"]:
    """A value without what its scores have of those of a direction: what is left of them is uncorrelated with those."""
    assert direction is not None
    towards = readout.covariance @ direction
    return (value.double() - (value.double() @ towards) / (direction @ towards) * direction).float()
