"""How many of its cells a layer uses whose coefficients are weights of a softmax, beside one of ReLU cells.

No weight of a softmax is 0, so that m > 0 says nothing. Here a memory is *active* where it has more than its even share,
m > 1 / (n + N), n being the tokens of its context and N the memories of its head; a ReLU cell where m > 0. *Effective* is how
many cells would be as spread out if all had the same: exp of the entropy of m / sum of m, over the memories of a head, or over
a layer of ReLU cells. It does not ask what the context has taken, as active does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.prefixes import Pass, passes, rows_of
from ffmem.analyses.sparsity.limits import cuts_to_zero
from ffmem.analyses.updates.positions import Positions
from ffmem.errors import InputError
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.transformer import Transformer
from ffmem.options import Bos


@dataclass(frozen=True)
class Use:
    """What was measured at each position of a text."""

    loss: Float[np.ndarray, " n"]
    """-ln p of the token that follows, in nats."""
    context: Int64[np.ndarray, " n"]
    """Tokens that stand in the softmax beside memories: all up to the position, with what stands before a text."""
    active: Float[np.ndarray, "n layers"]
    """Share of the layer's cells that are active."""
    effective: Float[np.ndarray, "n layers"]
    """Effective cells, as a share of all: of the memories of a head, mean of heads; NaN where no cell has a coefficient."""
    mass: Float[np.ndarray, "n layers"]
    """Weight that memories have of the 1 of a head, mean of heads; NaN in layers of other cells."""
    highest: Float[np.ndarray, "layers cells"]
    """Of each cell the largest m (n + N): at most 1 where it never had more than its even share. 0 in layers of other cells."""
    document: Int64[np.ndarray, " n"]


def check_comparable(model: Transformer) -> None:
    """Refuse a model whose cells are neither memories of a softmax nor 0 where they are not active.

    Raises:
        InputError: they are not.
    """
    if n_heads(model) or cuts_to_zero(model):
        return
    kind = f"{model.facts.activation}{', gated' if model.facts.gated else ''}"
    raise InputError(
        f"the coefficients of {model.facts.name} ({kind}) are seldom 0, and may be below it",
        "Expected memories of a softmax, or ReLU cells: of others no share of a sum can be told",
        "Give a model with such cells",
    )


def measure_use(
    model: Transformer, positions: Positions, *, bos: Bos, on_pass: Callable[[int, int], None] = lambda _, __: None
) -> Use:
    """The use of cells at positions of whole sentences, and what the model loses there.

    Args:
        model: a causal model: see `check_comparable`.
        positions: each with what comes before it, and the token after it.
        bos: special tokens, as in an index.
        on_pass: called with the positions that are done, and all.

    Cost: one pass of each sentence, with a softmax over the vocabulary; a few numbers a position, layer and head.
    """
    check_comparable(model)
    parts: list[dict[str, np.ndarray]] = []
    order: list[np.ndarray] = []
    highest = torch.zeros(model.facts.n_layers, max(cells.n_cells for cells in model.facts.layers))
    done = 0
    for one in passes(model, positions.prefixes.sentences, bos, device=str(model.device)):
        some, rows, columns = rows_of(positions.prefixes, one)
        if len(some):
            following = torch.from_numpy(positions.following[some])
            with torch.inference_mode():
                parts.append(_of_pass(model, one, rows, columns, following, highest))
            order.append(some)
        done += len(some)
        on_pass(done, len(positions))
    back = np.argsort(np.concatenate(order))
    found = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return Use(**found, highest=highest.numpy(), document=positions.document)


def n_heads(model: Transformer) -> int:
    """Of a model with memories in its softmax, how many heads share them out; 0 of others."""
    layer = model.layer(0)
    return layer.n_heads if isinstance(layer, SoftmaxLayer) else 0


def _of_pass(
    model: Transformer, one: Pass, rows: Tensor, columns: Tensor, following: Tensor, highest: Tensor
) -> dict[str, np.ndarray]:
    """The columns of `Use` of some positions; ``highest`` is raised."""
    seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    heads, context = n_heads(model), columns + 1

    def keep(place: int, coefficients: Tensor) -> None:
        m = coefficients[rows, columns].float().cpu()
        seen[place] = of_coefficients(m, heads, context)
        if heads:
            even = m * (context[:, None] + m.shape[1] // heads)
            highest[place, : m.shape[1]] = torch.maximum(highest[place, : m.shape[1]], even.amax(0))

    with model.watch_coefficients(keep):
        logits = model.logits(one.token_ids, one.attention_mask)
    assert logits is not None  # causal models have heads
    log_p = logits[rows, columns].float().cpu().log_softmax(-1)
    found = [torch.stack([seen[place][i] for place in range(model.facts.n_layers)], dim=1).numpy() for i in range(3)]
    return {
        "loss": -log_p.gather(1, following[:, None])[:, 0].numpy(),
        "context": context.numpy(),
        **dict(zip(("active", "effective", "mass"), found, strict=True)),
    }


def of_coefficients(
    m: Float[Tensor, "n cells"], heads: int, context: Int64[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Active share, effective share and mass of one layer at some positions.

    Args:
        m: coefficients; none is below 0.
        heads: of a layer with memories in its softmax; 0: of others.
        context: tokens in the softmax.
    """
    by_head = m.reshape(len(m), max(heads, 1), -1)
    n_cells, mass = by_head.shape[2], by_head.sum(-1)
    limit = 1 / (context[:, None, None] + n_cells) if heads else torch.zeros(())
    active = (by_head > limit).float().mean((1, 2))
    effective = effective_number(by_head).nanmean(1) / n_cells
    return active, effective, mass.mean(1) if heads else torch.full_like(active, torch.nan)


def effective_number(m: Float[Tensor, "*batch cells"]) -> Float[Tensor, "*batch"]:
    """Exp of the entropy of m / sum of m: 1 where one cell has everything, all where they have the same; NaN where none has."""
    shares = m / m.sum(-1, keepdim=True)
    found: Tensor = torch.special.entr(shares).sum(-1).exp()
    return found


@dataclass(frozen=True)
class Row:
    """One position of one head: what its softmax gives to what."""

    sources: Float[np.ndarray, " context"]
    memories: Float[np.ndarray, " memories"]
    """With the sources, they add up to 1."""


def rows_of_head(model: Transformer, token_ids: list[int], place: int, head: int, bos: Bos) -> list[Row]:
    """The rows of one head over a text, a row for each of its own tokens; what stands before the text is among the sources.

    Args:
        model: one with memories in its softmax.
        token_ids: own tokens of the text.
        place: the layer.
        head: from 0.
        bos: special tokens.
    """
    before, _ = model.special_tokens(bos)
    ids = torch.tensor([[*before, *token_ids]], device=model.device)
    weights: list[Tensor] = []
    coefficients: list[Tensor] = []
    layers = [one for one in model.attention_layers if one.place == place]
    with (
        torch.inference_mode(),
        model.watch_attention(lambda _, states: weights.append(states.weights[0, head].cpu()), layers),
        model.watch_coefficients(lambda _, m: coefficients.append(m[0].cpu().clone()), layers=[place]),
    ):
        model.forward(ids)
    own = coefficients[0].reshape(ids.shape[1], n_heads(model), -1)[:, head]
    return [
        Row(weights[0][at, : at + 1].double().numpy(), own[at].double().numpy())
        for at in range(len(before), ids.shape[1])
    ]
