"""A layer's output from k of its cells alone, y_k = sum of the first k m_i v_i + b: what that changes (Gupta et al. 2021).

Decided here: an order is made anew at each token; equal scores stand as the cells do; a cell that is left out counts with
m = 0, whatever its activation. In a mixture the cells of all experts are one list, in which those not asked have m = 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ffmem.analyses.distances import kl
from ffmem.analyses.prefixes import Continued, passes, rows_of
from ffmem.analyses.removal import losses_of_states, removal_layers
from ffmem.analyses.updates.positions import Positions
from ffmem.models.inputs import as_row
from ffmem.models.last_position import LastPosition
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Order = Literal["coefficient", "contribution", "along y", "chance"]
ORDERS: tuple[Order, ...] = get_args(Order)
"""coefficient: the largest m, signed, as the paper has it. contribution: the largest |m| x length of v. along y: the largest
part of m v in the direction of the sum of all. chance: random cells among those with m other than 0."""
_BATCH_TOKENS = 512


def numbers_of_cells(n_cells: int) -> tuple[int, ...]:
    """The k that are tried: none, powers of two, and all."""
    return (0, *(2**power for power in range(n_cells.bit_length()) if 2**power < n_cells), n_cells)


def order_scores(
    order: Order,
    m: Float[Tensor, "*batch cells"],
    values: Float[Tensor, "cells d_model"],
    lengths: Float[Tensor, "cells"],
    generator: torch.Generator,
) -> Float[Tensor, "*batch cells"]:
    """By what cells are kept, the highest first.

    Args:
        order: which.
        m: coefficients.
        values: a row for each cell.
        lengths: of values, as they reach the stream.
        generator: of chance.
    """
    if order == "coefficient":
        return m
    if order == "contribution":
        return m.abs() * lengths
    if order == "along y":
        return m * ((m @ values) @ values.T)
    drawn = torch.rand(m.shape, generator=generator).to(m)
    return drawn + (m != 0)


def kept(scores: Float[Tensor, "*batch cells"], k: int) -> Bool[Tensor, "*batch cells"]:
    """Which cells are among the first k."""
    found = torch.zeros_like(scores, dtype=torch.bool)
    first = scores.argsort(dim=-1, descending=True, stable=True)[..., :k]
    return found.scatter_(-1, first, torch.ones_like(first, dtype=torch.bool))


@dataclass(frozen=True)
class OneLayer:
    """One layer from k of its cells, at the last token of each prefix; the layers above go on from there. In nats."""

    loss: Float[np.ndarray, " n"]
    """-ln p of the token that follows, with all cells."""
    change: Float[np.ndarray, "n layers orders ks"]
    """By how much more that is."""
    divergence: Float[np.ndarray, "n layers orders ks"]
    """KL(p || p') from the model's own p."""
    error: Float[np.ndarray, "n layers orders ks"]
    """|y - y_k| / |y|."""
    cosine: Float[np.ndarray, "n layers orders ks"]
    """Of y and y_k."""
    n_active: Int64[np.ndarray, "n layers"]
    """Cells with m other than 0."""
    document: Int64[np.ndarray, " n"]


def truncate_one_layer(
    model: Transformer,
    continued: Continued,
    *,
    bos: Bos,
    seed: int = 0,
    on_prefix: Callable[[int], None] = lambda _: None,
) -> OneLayer:
    """Keep k cells at the end of each prefix, in one of `removal_layers` at a time, in each order and number.

    Args:
        model: a causal model.
        continued: prefixes, and what follows each.
        bos: special tokens, as in the index.
        seed: of chance.
        on_prefix: called with the number of those that are done.

    Cost: for each prefix two passes, and one of a single position for each layer, order and k.
    """
    before, _ = model.special_tokens(bos)
    prefixes, places, found = continued.prefixes, removal_layers(model.facts.n_layers), []
    lengths = [model.value_rows(place).norm(dim=1).float() for place in places]
    for number in range(len(prefixes)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        with torch.inference_mode():
            last = LastPosition(model, as_row(model, [*before, *prefixes.tokens(number).tolist()]))
            found.append(_of_prefix(model, last, places, lengths, int(continued.following[number]), generator))
        on_prefix(number + 1)
    columns = {name: np.stack([one[name] for one in found]) for name in found[0]}
    return OneLayer(**columns, document=prefixes.document[prefixes.sentence])


def _of_prefix(
    model: Transformer,
    last: LastPosition,
    places: Sequence[int],
    lengths: Sequence[Float[Tensor, "cells"]],
    following: int,
    generator: torch.Generator,
) -> dict[str, np.ndarray]:
    """The columns of `OneLayer`, of one prefix."""
    dropped, error, cosine, n_active = [], [], [], []
    ks = numbers_of_cells(max(layer.n_cells for layer in model.facts.layers))
    for place, length in zip(places, lengths, strict=True):
        m, values = last.states[place].coefficients.float(), model.values(place).float()
        y = last.states[place].ff_output.float()
        rows = torch.stack([dropped_sums(order, m, values, length, ks, generator) for order in ORDERS])
        dropped.append(rows)
        error.append(rows.norm(dim=-1) / y.norm().clamp(min=torch.finfo(y.dtype).tiny))
        cosine.append(torch.cosine_similarity(y - rows, y[None, None], dim=-1))
        n_active.append(int((m != 0).sum()))
    stacked = torch.stack(dropped)  # (layers, orders, ks, d_model)
    rows = torch.cat([stacked.new_zeros(1, stacked.shape[-1]), stacked.flatten(0, 2)])
    per_layer = stacked.shape[1] * stacked.shape[2]
    layer_of = torch.tensor([places[0]] + [place for place in places for _ in range(per_layer)])
    loss, divergence = losses_of_states(model, last.final_states(layer_of, rows), following)
    shape = stacked.shape[:3]
    return {
        "loss": loss[0].cpu().numpy(),
        "change": (loss[1:] - loss[0]).cpu().reshape(shape).numpy(),
        "divergence": divergence[1:].cpu().reshape(shape).numpy(),
        "error": torch.stack(error).cpu().numpy(),
        "cosine": torch.stack(cosine).cpu().numpy(),
        "n_active": np.array(n_active),
    }


def dropped_sums(
    order: Order,
    m: Float[Tensor, "cells"],
    values: Float[Tensor, "cells d_model"],
    lengths: Float[Tensor, "cells"],
    ks: Sequence[int],
    generator: torch.Generator,
) -> Float[Tensor, "ks d_model"]:
    """What the cells behind the first k write together, y - y_k; exactly 0 where all of them have m = 0."""
    ranked = order_scores(order, m, values, lengths, generator).argsort(descending=True, stable=True)
    written = (m[ranked, None] * values[ranked]).flip(0).cumsum(0).flip(0)
    behind = torch.cat([written, written.new_zeros(1, written.shape[1])])
    return behind[torch.tensor([min(k, len(m)) for k in ks], device=behind.device)]


@dataclass(frozen=True)
class AllLayers:
    """Every layer from k of its cells at every token at once, at positions of whole sentences. In nats."""

    loss: Float[np.ndarray, " n"]
    """-ln p of the token that follows, with all cells."""
    change: Float[np.ndarray, "n orders ks"]
    divergence: Float[np.ndarray, "n orders ks"]
    """KL(p || p') from the model's own p."""
    same: Bool[np.ndarray, "n orders ks"]
    """Whether the most probable token is the model's own."""
    document: Int64[np.ndarray, " n"]


def truncate_all_layers(
    model: Transformer,
    positions: Positions,
    *,
    bos: Bos,
    seed: int = 0,
    on_pass: Callable[[int, int], None] = lambda _, __: None,
) -> AllLayers:
    """Keep k cells in all layers and at all tokens, in each order and number.

    Args:
        model: a causal model; it is as before afterwards.
        positions: of whole sentences.
        bos: special tokens, as in the index.
        seed: of chance.
        on_pass: called with the positions that are done, and all.

    Cost: a pass of each sentence for each order and k, with a sort of the coefficients of each layer.
    """
    ks = numbers_of_cells(max(layer.n_cells for layer in model.facts.layers))
    lengths = [model.value_rows(place).norm(dim=1).float() for place in range(model.facts.n_layers)]
    parts, order_of, done = [], [], 0
    for number, one in enumerate(
        passes(model, positions.prefixes.sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device))
    ):
        some, rows, columns = rows_of(positions.prefixes, one)
        if len(some):
            following = torch.from_numpy(positions.following[some])
            with torch.inference_mode():
                asked = _Asked(model, lengths, one.token_ids, one.attention_mask, rows, columns, following)
                parts.append(_of_pass(asked, ks, seed * 1_000_003 + number))
            order_of.append(some)
        done += len(some)
        on_pass(done, len(positions))
    back = np.argsort(np.concatenate(order_of))
    columns_of = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return AllLayers(**columns_of, document=positions.document)


@dataclass(frozen=True)
class _Asked:
    """One input of a model, and the places in it that are asked about."""

    model: Transformer
    lengths: Sequence[Float[Tensor, "cells"]]
    """Of the values of each layer."""
    token_ids: Tensor
    attention_mask: Tensor
    rows: Tensor
    columns: Tensor
    following: Tensor

    def log_probabilities(self) -> Float[Tensor, "some d_vocab"]:
        """Of the next token at each place."""
        logits = self.model.logits(self.token_ids, self.attention_mask)
        assert logits is not None  # causal models have heads
        found: Tensor = logits[self.rows, self.columns].float().cpu().log_softmax(-1)
        return found

    def loss(self, log_p: Float[Tensor, "some d_vocab"]) -> Float[Tensor, "some"]:
        """-ln p of the token that follows."""
        return -log_p.gather(1, self.following[:, None])[:, 0]


def _of_pass(asked: _Asked, ks: Sequence[int], seed: int) -> dict[str, np.ndarray]:
    own = asked.log_probabilities()
    loss, best = asked.loss(own), own.argmax(-1)
    change, divergence, same = (torch.empty(len(loss), len(ORDERS), len(ks)) for _ in range(3))
    for i, order in enumerate(ORDERS):
        for j, k in enumerate(ks):
            with asked.model.change_coefficients(_Keep(asked.model, asked.lengths, order, k, seed)):
                log_p = asked.log_probabilities()
            change[:, i, j] = asked.loss(log_p) - loss
            divergence[:, i, j] = kl(log_p, own)  # the expectation is over the model's own
            same[:, i, j] = (log_p.argmax(-1) == best).float()
    return {
        "loss": loss.numpy(),
        "change": change.numpy(),
        "divergence": divergence.numpy(),
        "same": same.numpy().astype(bool),
    }


class _Keep:
    """Sets all but k coefficients of every layer to 0; as `Transformer.change_coefficients` has it."""

    def __init__(self, model: Transformer, lengths: Sequence[Tensor], order: Order, k: int, seed: int) -> None:
        self._model, self._lengths, self._order, self._k = model, lengths, order, k
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, layer: int, m: Float[Tensor, "*batch cells"]) -> Float[Tensor, "*batch cells"]:
        values = self._model.values(layer).float()
        scores = order_scores(self._order, m.float(), values, self._lengths[layer], self._generator)
        return torch.where(kept(scores, self._k), m, torch.zeros_like(m))
