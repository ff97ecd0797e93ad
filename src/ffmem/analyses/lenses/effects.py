"""What lenses make of what a cell writes, against what the model's scores do without it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ffmem.analyses.lenses.reading import Reader
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.updates.readout import stream_values
from ffmem.models.inputs import as_row
from ffmem.models.last_position import LastPosition
from ffmem.models.tracing import LayerTrace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

KINDS = ("strongest", "random active")
"""The cell of largest |m| x length of v; one drawn from those with m other than 0."""


@dataclass(frozen=True)
class Effects:
    """At the last token of each prefix, of one cell of each layer and kind, by each lens of `Reader.of_vectors`.

    The effect is what its m v does to the scores of the next token: those of the model less those without m v. What all tokens
    gain alike is left out, since it changes no probability.
    """

    correlation: Float[np.ndarray, "n layers kinds lenses"]
    """Of what the lens says that m v adds to the scores with the effect, over the vocabulary; NaN where nothing changes."""
    same: Bool[np.ndarray, "n layers kinds lenses"]
    """Whether the token that gains the most is the one that the lens says."""
    size: Float[np.ndarray, "n layers kinds"]
    """Standard deviation of the effect over the vocabulary."""
    document: Int64[np.ndarray, " n"]


def measure_effects(
    reader: Reader,
    continued: Continued,
    *,
    bos: Bos,
    seed: int = 0,
    on_prefix: Callable[[int], None] = lambda _: None,
) -> Effects:
    """Take one cell off at the end of each prefix, in each of the Jacobian's layers, and let the layers above go on from there.

    Args:
        reader: of a causal model.
        continued: prefixes, of documents that the Jacobian is not made of.
        bos: special tokens, as in the index.
        seed: of draws.
        on_prefix: called with the number of those that are done.

    Cost: for each prefix two passes, and one of a single position for each layer and kind; a product with the vocabulary for
        each of these, and for each lens.
    """
    model, found = reader.model, []
    before, _ = model.special_tokens(bos)
    values = [stream_values(model, place) for place in reader.jacobian.places]
    prefixes = continued.prefixes
    for number in range(len(prefixes)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        with torch.inference_mode():
            last = LastPosition(model, as_row(model, [*before, *prefixes.tokens(number).tolist()]))
            found.append(_of_prefix(reader, last, values, generator))
        on_prefix(number + 1)
    columns = {name: np.stack([one[name] for one in found]) for name in found[0]}
    return Effects(**columns, document=prefixes.document[prefixes.sentence])


def _of_prefix(
    reader: Reader, last: LastPosition, values: Sequence[Tensor], generator: torch.Generator
) -> dict[str, np.ndarray]:
    """The columns of `Effects`, of one prefix."""
    model, places = reader.model, reader.jacobian.places
    removed, written = [], []
    for place, rows in zip(places, values, strict=True):
        m, scale = last.states[place].coefficients.float(), _scale(model, place, last.states[place])
        for cell in _cells(m, rows, generator):
            removed.append(m[cell] * model.values(place)[cell].float())
            written.append(m[cell] * rows[cell] * scale)
    stacked = torch.stack(removed)
    rows_of = torch.tensor([place for place in places for _ in KINDS])
    nothing = stacked.new_zeros(1, stacked.shape[1])
    states = last.final_states(torch.cat([rows_of[:1], rows_of]), torch.cat([nothing, stacked]))
    scores = model.project(states, model.unembedding.own_projection).float()
    effect = _centred(scores[:1] - scores[1:])
    shape = (len(places), len(KINDS))
    by_layer = torch.stack(written).view(*shape, -1)
    correlation, same = [], []
    for lens in reader.of_vectors:
        read = torch.cat(
            [reader.added(lens, number, by_layer[number], states[0], generator) for number in range(len(places))]
        )
        correlation.append(_correlation(_centred(read.float()), effect).reshape(shape))
        same.append((read.argmax(-1) == effect.argmax(-1)).reshape(shape))
    return {
        "correlation": torch.stack(correlation, -1).cpu().numpy(),
        "same": torch.stack(same, -1).cpu().numpy(),
        "size": effect.std(-1, correction=0).reshape(shape).cpu().numpy(),
    }


def _scale(model: Transformer, place: int, state: LayerTrace) -> float:
    """What a norm between a layer's output and the next state multiplies it with at one position; 1 where there is none."""
    layout, layer = model.layout(place), model.layer(place)
    if layout.post_ff_norm:
        return float(model.unembedding.freeze(layer.at(layout.post_ff_norm), state.ff_output).scale)
    if layout.placement == "post" and layout.ff_norm:
        return float(model.unembedding.freeze(layer.at(layout.ff_norm), state.residual + state.ff_update).scale)
    return 1.0


def _cells(m: Float[Tensor, "cells"], rows: Float[Tensor, "cells d_model"], generator: torch.Generator) -> list[int]:
    """One of each kind; where no cell is active, both are the first."""
    active = (m != 0).nonzero().flatten()
    if not len(active):
        return [0 for _ in KINDS]
    drawn = int(torch.randint(len(active), (1,), generator=generator))
    return [int((m.abs() * rows.norm(dim=1)).argmax()), int(active[drawn])]


def _centred(scores: Float[Tensor, "rows d_vocab"]) -> Float[Tensor, "rows d_vocab"]:
    return scores - scores.mean(-1, keepdim=True)


def _correlation(one: Float[Tensor, "rows d_vocab"], other: Float[Tensor, "rows d_vocab"]) -> Float[Tensor, "rows"]:
    lengths = one.norm(dim=-1) * other.norm(dim=-1)
    products = (one * other).sum(-1) / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
    found: Tensor = torch.where(lengths > 0, products, torch.nan)
    return found
