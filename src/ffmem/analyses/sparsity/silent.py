"""Why cells of a model with ReLU stay at 0: no state can reach them, none of a text does, or their bias holds them off."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ffmem.analyses.prefixes import passes
from ffmem.analyses.sparsity.stretch import Stretch
from ffmem.analyses.sparsity.use import RARE
from ffmem.models.tracing import watch_inputs
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Reason = Literal["out of reach", "bias", "never reached", "active here"]
"""Out of reach: no state that the norm before the layer can give has a product with the key above 0. Bias: with the median bias
of the layer's cells it would be active at as many positions of the text as cells that are not rare. Never reached: not even
then. Active here: it is, at as many positions of this text."""
REASONS: tuple[Reason, ...] = get_args(Reason)


def reasons(
    model: Transformer,
    stretch: Stretch,
    bos: Bos,
    rows: Sequence[Int64[np.ndarray, "some"]],
    listen: Callable[[int], None] = lambda _: None,
) -> list[list[Reason]]:
    """Why each of some cells is silent.

    Args:
        model: of ungated cells without experts.
        stretch: a text.
        bos: special tokens.
        rows: of the cells of each layer.
        listen: told how many positions are done.

    Cost: a forward pass over the text.
    """
    device = model.device
    chosen = [torch.from_numpy(one).to(device) for one in rows]
    keys = [model.keys(place).float()[some] for place, some in enumerate(chosen)]
    biases = [_biases(model, place) for place in range(len(keys))]
    middle = [float(one.median()) for one in biases]
    n_own, n_middle = ([torch.zeros(len(one), device=device) for one in keys] for _ in range(2))
    done = 0
    for one in passes(model, stretch.tokens, bos, device=str(device)):

        def count(place: int, x: Tensor, sentences: Sequence[int] = one.sentences, first: int = one.first) -> None:
            for row, sentence in enumerate(sentences):
                own = x[row, first + int(stretch.skip[sentence]) : first + len(stretch.tokens[sentence])].float()
                products = own @ keys[place].T
                n_own[place] += (products + biases[place][chosen[place]] > 0).sum(0)
                n_middle[place] += (products + middle[place] > 0).sum(0)

        with torch.inference_mode(), watch_inputs(model, len(one.token_ids), count):
            model.forward(one.token_ids, one.attention_mask)
        done += int(stretch.lengths[list(one.sentences)].sum())
        listen(done)
    least = RARE * len(stretch)
    found: list[list[Reason]] = []
    for place, some in enumerate(chosen):
        most = reach(model, place)
        limits = [None] * len(some) if most is None else most[some].tolist()
        counts = zip(limits, n_own[place].tolist(), n_middle[place].tolist(), strict=True)
        found.append([_reason(limit, own / least, with_middle / least) for limit, own, with_middle in counts])
    return found


def _reason(most: float | None, own: float, with_middle: float) -> Reason:
    if most is not None and most <= 0:
        return "out of reach"
    if own >= 1:
        return "active here"
    return "bias" if with_middle >= 1 else "never reached"


def _biases(model: Transformer, place: int) -> Float[Tensor, "cells"]:
    bias = model.key_bias(place)
    return model.keys(place).new_zeros(model.cells.layers[place].n_cells) if bias is None else bias.float()


def reach(model: Transformer, place: int) -> Float[Tensor, "cells"] | None:
    """The largest product with each key, bias included, that any state has behind the norm before a layer.

    The norm gives gain * z + bias with a z of length at most the root of its size (of mean 0 where it centres), so that the
    most is |P(gain * k)| root(d) + k . bias + b, where P takes the mean away. None where no norm stands right before the keys.
    """
    layout = model.layout(place)
    if not layout.ff_norm or layout.placement not in ("pre", "sandwich"):
        return None
    norm = model.layer(place).at(layout.ff_norm)
    keys = model.keys(place).float()
    scaled = keys * model.unembedding.gain(norm).float()
    if layout.norm == "layernorm":
        scaled = scaled - scaled.mean(1, keepdim=True)
    bias: Tensor | None = getattr(norm, "bias", None)
    shift = _biases(model, place) if bias is None else keys @ bias.float() + _biases(model, place)
    found: Tensor = scaled.norm(dim=1) * keys.shape[1] ** 0.5 + shift
    return found


def turned_off(
    before: Int64[np.ndarray, "cells"], after: Int64[np.ndarray, "cells"], n: int
) -> dict[str, Int64[np.ndarray, "some"]]:
    """Rows of cells by what became of them between two moments, of which both counted n positions of the same text.

    Returns:
        "turned off": active at 1 % of the positions before, at fewer than 0.1 % after. "died": active before, and nowhere
        after. "revived": the other way about. "stayed": active at 1 % before, and at 0.1 % after.
    """
    often, still = before >= 10 * RARE * n, after >= RARE * n
    kinds = {
        "turned off": often & ~still,
        "died": (before > 0) & (after == 0),
        "revived": (before == 0) & (after > 0),
        "stayed": often & still,
    }
    return {name: np.flatnonzero(one) for name, one in kinds.items()}


def key_changes(before: Transformer, after: Transformer, place: int) -> dict[str, Float64[np.ndarray, "cells"]]:
    """How the keys of a layer differ between two moments: change of the bias, ln of the ratio of lengths, 1 - cosine."""
    old, new = (one.keys(place).double() for one in (before, after))
    lengths = [one.norm(dim=1) for one in (old, new)]
    cosine = (old * new).sum(1) / (lengths[0] * lengths[1]).clamp(min=1e-30)
    return {
        "bias": (_biases(after, place) - _biases(before, place)).double().cpu().numpy(),
        "length": (lengths[1] / lengths[0].clamp(min=1e-30)).clamp(min=1e-30).log().cpu().numpy(),
        "drift": (1 - cosine).cpu().numpy(),
    }
