"""A layer's update as sub-updates m·v, one a cell: what the largest do, and what becomes of candidates (Geva et al. 2022)."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.analyses.prefixes import passes, rows_of
from ffmem.analyses.updates.positions import Positions
from ffmem.analyses.updates.readout import Readout, stream_bias, stream_values
from ffmem.analyses.values import first_of_largest
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

N_DOMINANT = 10
"""Sub-updates that stand for a layer, as in the paper."""
Token = Literal["final", "next", "candidate"]
TOKENS: tuple[Token, ...] = get_args(Token)
"""The model's prediction; the top token after the layer; the top token before it."""
Stat = Literal["score", "positive", "promotes", "suppresses"]
STATS: tuple[Stat, ...] = get_args(Stat)
"""Over the dominant sub-updates: the mean score, in standard deviations of the scores that a sub-update gives all tokens, above
their mean; and the shares in which it is above 0, above 1, and below -1."""
_AT_A_TIME, _BATCH_TOKENS = 64, 512
"""Positions whose scores over the vocabulary are held, and most tokens of a pass."""


@dataclass(frozen=True)
class SubUpdates:
    """What happens at each position in each layer. Of equal scores the smallest id is the top."""

    residual_top: Int[np.ndarray, "n layers"]
    """Of r, the stream before the feed-forward layer: the candidate."""
    output_top: Int[np.ndarray, "n layers"]
    """Of o, the stream after it."""
    n_above: Int[np.ndarray, "n layers"]
    """Tokens with a higher score than the model's prediction under r."""
    n_fallen: Int[np.ndarray, "n layers"]
    """Those of them that are not above it under o any more."""
    of_lengths: Float[np.ndarray, "n layers"]
    """The share of the dominant sub-updates in the sum of the lengths of all; NaN where all are 0."""
    of_output: Float[np.ndarray, "n layers"]
    """Their share of y: (sum of them . y) / |y|^2, y with its bias; NaN where y is 0."""
    dominant: Int[np.ndarray, "n layers ten"]
    """The cells of the dominant sub-updates, the largest first: 1 + row, or minus that for a coefficient below 0, of which the
    negative value is written; 0 where fewer cells add anything."""
    stats: Float[np.ndarray, "n layers tokens 2 stats"]
    """`STATS` of `TOKENS`; of the dominant sub-updates, and of as many random cells of the layer in their places, with the same
    signs (length has no part in scores that are told in standard deviations)."""
    document: Int[np.ndarray, "n"]
    """Of each position."""

    @property
    def prediction(self) -> Int[np.ndarray, "n"]:
        """The top token after the last layer."""
        found: np.ndarray = self.output_top[:, -1]
        return found

    @property
    def changes(self) -> Bool[np.ndarray, "n layers"]:
        """Whether the layer replaces the candidate."""
        found: np.ndarray = self.residual_top != self.output_top
        return found

    @property
    def saturation_layer(self) -> Int[np.ndarray, "n"]:
        """The first layer from which on the top after the layer stays the prediction."""
        same = self.output_top == self.prediction[:, None]
        found: np.ndarray = np.logical_and.accumulate(same[:, ::-1], axis=1)[:, ::-1].argmax(1)
        return found

    @property
    def negative(self) -> Float[np.ndarray, "n layers"]:
        """The share of dominant sub-updates with a coefficient below 0; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            found: np.ndarray = (self.dominant < 0).sum(2) / (self.dominant != 0).sum(2)
        return found

    def stat(self, stat: Stat, token: Token, *, random: bool = False) -> Float[np.ndarray, "n layers"]:
        """One of the numbers; of the random cells if that is wanted."""
        found: np.ndarray = self.stats[:, :, TOKENS.index(token), int(random), STATS.index(stat)]
        return found


def measure_sub_updates(
    model: Transformer,
    positions: Positions,
    *,
    bos: Bos,
    seed: int = 0,
    on_positions: Callable[[int], None] = lambda _: None,
) -> SubUpdates:
    """The sub-updates at some positions, layer by layer.

    Args:
        model: a causal language model.
        positions: held-out ones.
        bos: special tokens, as in the index.
        seed: of the random cells.
        on_positions: called with the number of positions that are done.

    Cost: a forward pass of each sentence; for each position and layer two products with the vocabulary.
    """
    with torch.inference_mode():
        reading = _Reading(model, seed, len(positions))
        parts, order, done = [], [], 0
        for one in passes(
            model, positions.prefixes.sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device)
        ):
            some, rows, columns = rows_of(positions.prefixes, one)
            if not len(some):
                continue
            states = [
                {field.name: getattr(layer, field.name)[0] for field in fields(LayerTrace)}
                for layer in trace(model, one.token_ids, one.attention_mask, at=(rows, columns))
            ]
            for first in range(0, len(some), _AT_A_TIME):
                few = slice(first, first + _AT_A_TIME)
                parts.append(
                    reading.read([{name: one[few] for name, one in layer.items()} for layer in states], some[few])
                )
            order.append(some)
            done += len(some)
            on_positions(done)
    back = np.argsort(np.concatenate(order))
    columns_of = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return SubUpdates(**columns_of, document=positions.document)


class _Reading:
    """What states are read by: the values of each layer, and the model's way to its scores."""

    def __init__(self, model: Transformer, seed: int, n: int) -> None:
        self._model, self._readout = model, Readout(model)
        layers = range(model.facts.n_layers)
        self._values = [stream_values(model, layer) for layer in layers]
        self._biases = [stream_bias(model, layer) for layer in layers]
        self._lengths = [values.norm(dim=1) for values in self._values]
        self._spreads = [self._readout.spreads(values).float() for values in self._values]
        self._drawn = [
            torch.from_numpy(np.random.default_rng([seed, 23, layer]).integers(0, len(values), (n, N_DOMINANT)))
            for layer, values in enumerate(self._values)
        ]

    def read(self, states: list[dict[str, Tensor]], numbers: Int[np.ndarray, "n"]) -> dict[str, np.ndarray]:
        """The fields of SubUpdates at some positions."""
        last = self._scores(states[-1])
        prediction, _ = first_of_largest(last[1])
        by_layer: dict[str, list[Tensor]] = {}
        for layer, state in enumerate(states):
            residual, output = last if layer == len(states) - 1 else self._scores(state)
            tops = [first_of_largest(one)[0] for one in (residual, output)]
            found = {"residual_top": tops[0], "output_top": tops[1], **_fallen(residual, output, prediction)}
            tokens = torch.stack([prediction, tops[1], tops[0]], 1)
            found |= self._largest(layer, state["coefficients"].float(), tokens, torch.from_numpy(numbers))
            for name, values in found.items():
                by_layer.setdefault(name, []).append(values)
        return {name: torch.stack(values, 1).cpu().numpy() for name, values in by_layer.items()}

    def _scores(self, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Under r and under o, as the model reads its last state."""
        n, model = len(state["residual"]), self._model
        both = torch.cat([state["residual"], state["layer_output"]])
        scores = model.project(both, model.unembedding.own_projection).float()
        return scores[:n], scores[n:]

    def _largest(
        self, layer: int, m: Float[Tensor, "n cells"], tokens: Int[Tensor, "n tokens"], numbers: Int[Tensor, "n"]
    ) -> dict[str, Tensor]:
        values, lengths = self._values[layer], self._lengths[layer]
        sizes = m.abs() * lengths
        ten = sizes.topk(min(N_DOMINANT, sizes.shape[1]), 1).indices
        own = m.gather(1, ten)
        there = own != 0
        count = there.sum(1).clamp(min=1)
        largest = (own[..., None] * values[ten]).sum(1)
        y = m @ values + self._biases[layer]
        directions = self._readout.centred_rows(tokens)
        random = self._drawn[layer][numbers, : ten.shape[1]].to(m.device)
        of_tokens = [_stats(self._z(layer, cells, own.sign(), directions), there, count) for cells in (ten, random)]
        return {
            "of_lengths": sizes.gather(1, ten).sum(1) / sizes.sum(1),
            "of_output": (largest * y).sum(1) / y.square().sum(1),
            "dominant": ((ten + 1) * own.sign()).to(torch.int32),
            "stats": torch.stack(of_tokens, 2),
        }

    def _z(
        self, layer: int, cells: Int[Tensor, "n ten"], signs: Float[Tensor, "n ten"], directions: Float[Tensor, "n t d"]
    ) -> Float[Tensor, "n t ten"]:
        """How far above its mean each sub-update scores each token, in its standard deviations; 0 if it scores all alike."""
        spreads = self._spreads[layer][cells]
        scores = torch.einsum("ntd,nkd->ntk", directions, self._values[layer][cells])
        z = scores * (signs / spreads)[:, None]
        return torch.where((spreads > 0)[:, None], z, 0.0)


def _fallen(
    residual: Float[Tensor, "n d_vocab"], output: Float[Tensor, "n d_vocab"], prediction: Int[Tensor, "n"]
) -> dict[str, Tensor]:
    above = residual > residual.gather(1, prediction[:, None])
    still = output > output.gather(1, prediction[:, None])
    return {"n_above": above.sum(1), "n_fallen": (above & ~still).sum(1)}


def _stats(
    z: Float[Tensor, "n t ten"], there: Bool[Tensor, "n ten"], count: Int[Tensor, "n"]
) -> Float[Tensor, "n t stats"]:
    some, n = there[:, None], count[:, None]
    sums = [torch.where(some, z, 0.0).sum(2), *((some & hit).sum(2) for hit in (z > 0, z > 1, z < -1))]
    return torch.where(there.any(1)[:, None, None], torch.stack([one / n for one in sums], 2), torch.nan)
