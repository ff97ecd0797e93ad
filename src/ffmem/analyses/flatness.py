"""How flat the distribution over the vocabulary is that a cell's value stands for."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index

TOP = 10
"""Tokens whose probabilities are added up."""
_WORK = 2e10
"""Multiplications that other cells of a layer may cost: half a second of a processor."""
_NUMBERS = 5_000_000
"""Scores at a time."""


@dataclass(frozen=True)
class Flatness(Record):
    """The distribution that a value stands for, softmax of its scores, beside those of other cells of its layer."""

    cell: CellId
    projection: str
    n_tokens: int
    """In the vocabulary."""
    even_tokens: float
    """To how many tokens, each as probable, it comes: e to the power of its entropy."""
    top_mass: float
    """Probability of its first `TOP` tokens together."""
    quantile: float
    """Share of the cells compared that are more peaked: that come to fewer tokens."""
    n_compared: int
    """Cells of the layer that it is held against: all, or as many as can be scored in half a second, evenly chosen."""


def flatness(model: Transformer, index: Index, cell: CellId, others: np.ndarray | None = None) -> Flatness:
    """See `Flatness`.

    Args:
        model: the model of the index.
        index: an opened index.
        cell: one of its cells.
        others: what `layer_flatness` gave for its layer; None: it is asked for.

    Raises:
        InputError: the index was built with a projection that gives a value no scores.
    """
    place, row = index.cells.place(cell)
    compared = layer_flatness(model, index, place) if others is None else others
    values = index.own_rows(place, model.value_rows)[row : row + 1]
    even, mass = _measured(model, index, place, values)
    return Flatness(
        cell=cell,
        projection=index.manifest.layer_projections[place],
        n_tokens=model.facts.d_vocab,
        even_tokens=float(even[0]),
        top_mass=float(mass[0]),
        quantile=float((compared < even[0] * (1 - 1e-6)).mean()),
        n_compared=len(compared),
    )


def layer_flatness(model: Transformer, index: Index, place: int) -> np.ndarray:
    """To how many tokens, each as probable, the values of a layer come; of some of its cells, if there are too many.

    Cost: half a second of a processor at most.
    """
    values = index.own_rows(place, model.value_rows)
    n = max(1, int(_WORK / (2 * model.facts.d_vocab * model.facts.d_model)))
    step = -(-len(values) // n)
    return _measured(model, index, place, values[::step])[0]


def _measured(
    model: Transformer, index: Index, place: int, values: Float[Tensor, "some d_model"]
) -> tuple[np.ndarray, np.ndarray]:
    """(even tokens, mass of the first ones) of some values of a layer."""
    score = model.scores(index.manifest.layer_projections[place])
    at_once = max(1, _NUMBERS // model.facts.d_vocab)
    even, masses = [], []
    with torch.inference_mode():
        for first in range(0, len(values), at_once):
            rows = values[first : first + at_once]
            out = torch.empty(len(rows), model.facts.d_vocab, device=rows.device)
            score(rows, out)
            logs = out.log_softmax(1)
            shares = logs.exp()
            even.append(torch.exp(-(shares * logs.clamp(min=-1e4)).sum(1, dtype=torch.float64)).cpu())
            masses.append(shares.topk(min(TOP, shares.shape[1]), 1).values.sum(1, dtype=torch.float64).cpu())
    return torch.cat(even).numpy(), torch.cat(masses).numpy()
