"""What the next token's loss becomes without the cells that activation, contribution, effect or chance picks. An addition.

At the last token of a prefix, in one layer, the coefficients of k cells are set to 0, and the model goes on with what is left.

Beside them stand changes of equal size. Each takes off y a vector that is as long as the sum of what the k cells of largest
coefficient wrote there: in the direction of what as many random active cells wrote, or in one of all directions alike. So
what differs between them is the direction; what size there is to remove, activation has chosen for all three.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from ffmem.analyses.decomposition import LayerParts, check_causal, has_scores
from ffmem.analyses.distances import kl
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.values import first_of_largest
from ffmem.models.inputs import as_row
from ffmem.models.last_position import LastPosition
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Way = Literal["activation", "chance", "chance, equal norm", "random direction, equal norm", "contribution", "effect"]
WAYS: tuple[Way, ...] = get_args(Way)
"""activation: the largest |m|. chance: random cells among those with a coefficient that is not 0. equal norm: as long a vector
as activation takes off: see the module. contribution: the largest |m| x length of v. effect: the largest share of the score
of the model's own prediction, as `explain` counts it."""
KS = (1, 3, 10, 30, 100)
"""How many cells; all that have a coefficient where there are fewer."""
MOST_LAYERS = 8
"""Of a model that has more, so many are looked at, evenly spaced from the first to the last."""
_PROJECTED = 64
"""Rows whose scores over the vocabulary are held."""


@dataclass(frozen=True)
class Removals:
    """What is lost at each prefix, in nats."""

    loss: Float[np.ndarray, " n"]
    """-ln p of the token that follows, with all cells."""
    change: Float[np.ndarray, "n layers ways ks"]
    """By how much more that is without the cells. NaN: this way does not exist for the model."""
    divergence: Float[np.ndarray, "n layers ways ks"]
    """KL(p || p'): by how much the loss grows if what follows is drawn from the model's own p."""
    without_all: Float[np.ndarray, "n layers"]
    """The change of the loss where all cells of the layer are removed, so that y = b."""
    length: Float[np.ndarray, "n layers ways ks"]
    """Of the vector that is taken off y, as a share of that of all cells together."""
    n_removed: Int[np.ndarray, "n layers ks"]
    """Fewer than k where fewer have a coefficient."""
    document: Int64[np.ndarray, " n"]
    error: Float[np.ndarray, " n"]
    """Of the last state computed again without a change: see `LastPosition.error`."""


def removal_layers(n_layers: int, most: int = MOST_LAYERS) -> list[int]:
    """Places of the layers that are looked at."""
    return [round(place) for place in np.linspace(0, n_layers - 1, min(n_layers, most)).tolist()]


def measure_removals(
    model: Transformer,
    continued: Continued,
    *,
    bos: Bos,
    seed: int = 0,
    on_prefix: Callable[[int], None] = lambda _: None,
) -> Removals:
    """Remove cells at the end of each prefix, in each of `removal_layers`, in each way and number.

    Args:
        model: a causal model.
        continued: prefixes, and what follows each.
        bos: special tokens, as in the index.
        seed: of chance; a prefix has the same whichever others are looked at.
        on_prefix: called with the number of those that are done.

    Raises:
        InputError: the model does not predict the next token of a text.

    Cost: for each prefix two passes of it, and one of a single position for each layer, way and number; memory of
        `_PROJECTED` rows of scores.
    """
    check_causal(model)
    before, _ = model.special_tokens(bos)
    prefixes = continued.prefixes
    places = removal_layers(model.facts.n_layers)
    lengths = [model.value_rows(place).norm(dim=1) for place in places]
    found = []
    for number in range(len(prefixes)):
        own = prefixes.tokens(number)
        rng = np.random.default_rng(
            [seed, int(prefixes.sentence_ids[prefixes.sentence[number]]), int(prefixes.position[number])]
        )
        with torch.inference_mode():
            last = LastPosition(model, as_row(model, [*before, *own.tolist()]))
            found.append(_of_prefix(model, last, places, lengths, int(continued.following[number]), rng))
        on_prefix(number + 1)
    columns = {name: np.stack([one[name] for one in found]) for name in found[0]}
    return Removals(**columns, document=prefixes.document[prefixes.sentence])


def _of_prefix(
    model: Transformer,
    last: LastPosition,
    places: list[int],
    lengths: list[Float[Tensor, "cells"]],
    following: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """The columns of `Removals`, of one prefix."""
    final = last.states[-1].layer_output
    prediction = int(first_of_largest(_log_probabilities(model, final[None]))[0])
    score = model.unembedding.linear_score(final, prediction) if has_scores(model) else None
    removed, n_removed = [], []
    for place, length in zip(places, lengths, strict=True):
        state = last.states[place]
        shares = None if score is None else LayerParts(model, place, state).shares(score)
        vectors, n_of = removed_vectors(state.coefficients.float(), model.values(place).float(), length, shares, rng)
        removed.append(vectors)
        n_removed.append(n_of)
    stacked = torch.stack(removed)  # (layers, 1 + ways x ks, d_model)
    n_rows = stacked.shape[1]
    rows = torch.cat([stacked.new_zeros(1, stacked.shape[2]), stacked.flatten(0, 1)])
    layer_of = torch.tensor([places[0]] + [place for place in places for _ in range(n_rows)])
    loss, divergence = losses_of_states(model, last.final_states(layer_of, rows), following)
    shape = (len(places), len(WAYS), len(KS))
    change = (loss[1:] - loss[0]).reshape(len(places), n_rows)
    norms = stacked.norm(dim=2)
    share = norms[:, 1:] / norms[:, :1].clamp(min=torch.finfo(norms.dtype).tiny)
    missing = torch.zeros(shape)
    if score is None:
        missing[:, WAYS.index("effect")] = torch.nan
    return {
        "loss": loss[0].cpu().numpy(),
        "change": (change[:, 1:].cpu().reshape(shape) + missing).numpy(),
        "divergence": (divergence[1:].reshape(len(places), n_rows)[:, 1:].cpu().reshape(shape) + missing).numpy(),
        "without_all": change[:, 0].cpu().numpy(),
        "length": (share.cpu().reshape(shape) + missing).numpy(),
        "n_removed": np.array(n_removed),
        "error": np.array(last.error),
    }


def removed_vectors(
    m: Float[Tensor, "cells"],
    values: Float[Tensor, "cells d_model"],
    lengths: Float[Tensor, "cells"],
    shares: Float[Tensor, "cells"] | None,
    rng: np.random.Generator,
) -> tuple[Float[Tensor, "rows d_model"], list[int]]:
    """What is taken off y = sum of m_i v_i: first all of it, then for each way and each number of cells.

    Args:
        m: coefficients.
        values: a row each.
        lengths: of values, as they reach the stream.
        shares: what each cell adds to the score of the prediction; None: that is no sum, and the rows of this way are 0.
        rng: of chance.

    Returns:
        the rows, and how many cells each of `KS` removes.
    """
    active = m.nonzero().squeeze(1)
    n_of = [min(k, len(active)) for k in KS]
    drawn = torch.from_numpy(rng.permutation(len(active))).to(m.device)
    direction = torch.from_numpy(rng.standard_normal(values.shape[1])).to(values)
    sizes = m[active].abs()
    orders: dict[Way, Tensor] = {
        "activation": sizes.argsort(descending=True, stable=True),
        "contribution": (sizes * lengths[active]).argsort(descending=True, stable=True),
        "chance": drawn,
    }
    if shares is not None:
        orders["effect"] = shares[active].argsort(descending=True, stable=True)
    found = {way: _sums(m, values, active[order], n_of) for way, order in orders.items()}
    found.setdefault("effect", torch.zeros_like(found["chance"]))
    size = found["activation"].norm(dim=1, keepdim=True)
    found["chance, equal norm"] = _of_length(found["chance"], size)
    found["random direction, equal norm"] = _of_length(direction.expand(len(KS), -1), size)
    return torch.cat([(m @ values)[None], *(found[way] for way in WAYS)]), n_of


def _sums(
    m: Float[Tensor, "cells"], values: Float[Tensor, "cells d_model"], order: Int[Tensor, "active"], n_of: list[int]
) -> Float[Tensor, "ks d_model"]:
    """What the first cells write together, for each number of them."""
    some = order[: max(n_of)]
    first = torch.arange(len(some), device=m.device) < torch.tensor(n_of, device=m.device)[:, None]
    return (first * m[some]) @ values[some]


def _of_length(vectors: Float[Tensor, "ks d_model"], size: Float[Tensor, "ks one"]) -> Float[Tensor, "ks d_model"]:
    own = vectors.norm(dim=1, keepdim=True)
    return torch.where(own > 0, vectors / own.clamp(min=torch.finfo(own.dtype).tiny) * size, 0.0)


def losses_of_states(
    model: Transformer, states: Float[Tensor, "rows d_model"], following: int
) -> tuple[Float[Tensor, "rows"], Float[Tensor, "rows"]]:
    """-ln p of the following token in each row, and KL of the first row's distribution from each."""
    own, losses, divergences = None, [], []
    for first in range(0, len(states), _PROJECTED):
        log_p = _log_probabilities(model, states[first : first + _PROJECTED])
        own = log_p[:1].clone() if own is None else own
        losses.append(-log_p[:, following])
        divergences.append(kl(log_p, own.expand_as(log_p)))  # the expectation is over the model's own
    return torch.cat(losses), torch.cat(divergences)


def _log_probabilities(model: Transformer, states: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
    return model.project(states, model.unembedding.own_projection).float().log_softmax(-1)
