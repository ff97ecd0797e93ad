"""A sentence put into a few cells, so that it is known what a search for cells should find: INJ of Chang et al. 2024.

Only values are tuned, so that coefficients up to and in the first layer that is tuned stay what they were.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from ffmem.analyses.memorised.cells import CellScores, Passage, bounds_of, loss_of, top_cells
from ffmem.errors import InputError
from ffmem.models.feed_forward import DenseLayer
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

ENOUGH = 0.05
"""The loss, in nats a token, at which a sentence is taken to be learned."""
_MOST_STEPS = 400
_RATE = 0.2
"""Of Adam, in units of the mean size of the entries of values."""


@dataclass(frozen=True)
class Injected:
    """What was tuned."""

    cells: Int64[np.ndarray, " cells"]
    """By their place in `cells.CellScores`."""
    before: float
    """The loss of the sentence, in nats a token."""
    after: float
    """The same when it was tuned; above `ENOUGH` where the cells could not learn it."""


def check_dense(model: Transformer) -> None:
    """Refuse a model whose values are no rows of one matrix a layer.

    Raises:
        InputError: it has experts, memories of attention, or packed weights.
    """
    layers = [model.layer(place) for place in range(model.facts.n_layers)]
    if any(isinstance(one, SoftmaxLayer) for one in layers):
        layers[0].value_weights()  # which says why not
    if all(isinstance(one, DenseLayer) and one.values().is_floating_point() for one in layers):
        return
    raise InputError(
        f"values of {model.facts.name} cannot be tuned: it has experts, or packed weights",
        "Expected one matrix of values in each layer, of plain numbers",
        "Leave the injection out for this model",
    )


@contextmanager
def injected(
    model: Transformer, passage: Passage, n_cells: int, *, bos: Bos = "auto", seed: int = 0
) -> Iterator[Injected]:
    """While it lasts, the values of some random cells are tuned until they recall a passage; then they are what they were.

    Args:
        model: a causal model.
        passage: what they learn.
        n_cells: how many, of all layers together.
        bos: special tokens before it.
        seed: of the cells.

    Raises:
        InputError: the model's values cannot be tuned.
    """
    check_dense(model)
    n = model.cells.n_cells
    cells = np.sort(np.random.default_rng([seed, 35]).choice(n, min(n_cells, n), replace=False))
    bounds = np.array(bounds_of(model))
    layers = np.searchsorted(bounds, cells, "right") - 1
    rows = {place: torch.from_numpy(cells[layers == place] - bounds[place]) for place in np.unique(layers).tolist()}
    weights = {place: model.layer(place).output_module.get_parameter("weight") for place in rows}
    originals = {place: weight.data for place, weight in weights.items()}
    asked = {place: weight.requires_grad for place, weight in weights.items()}
    try:
        for weight in weights.values():
            weight.data = weight.data.clone()  # it may be a file's
        before, after = _tune(model, passage, rows, bos)
        for place, weight in weights.items():
            weight.requires_grad_(asked[place])
        yield Injected(cells.astype(np.int64), before, after)
    finally:
        for place, weight in weights.items():
            weight.data, weight.grad = originals[place], None
            weight.requires_grad_(asked[place])


def _tune(model: Transformer, passage: Passage, rows: dict[int, torch.Tensor], bos: Bos) -> tuple[float, float]:
    """Tune the values of these rows in place, by Adam; the loss before and after."""
    values = {place: model.values(place) for place in rows}
    weights = [model.layer(place).output_module.get_parameter("weight").requires_grad_(True) for place in rows]
    with torch.no_grad():
        starts = [values[place][some].clone() for place, some in rows.items()]
    tuned = [start.clone().requires_grad_(True) for start in starts]
    optimizers = [torch.optim.Adam([one], lr=_RATE * float(one.detach().abs().mean()) + 1e-6) for one in tuned]
    first = last = float("nan")
    for step in range(_MOST_STEPS + 1):
        with torch.enable_grad():
            loss, _ = loss_of(model, passage, bos=bos)
            last = float(loss[0].detach())
            first = last if step == 0 else first
            if last < ENOUGH or step == _MOST_STEPS:
                break
            slopes = torch.autograd.grad(loss[0], weights)
        for place, slope, one, optimizer in zip(rows, slopes, tuned, optimizers, strict=True):
            turned = slope if slope.shape == values[place].shape and not _is_linear(model, place) else slope.T
            one.grad = turned[rows[place]]
            optimizer.step()
            with torch.no_grad():
                values[place][rows[place]] = one
    return first, last


def _is_linear(model: Transformer, place: int) -> bool:
    """Whether values are columns of the weight, as in nn.Linear, and not its rows."""
    return isinstance(model.layer(place).output_module, torch.nn.Linear)


def recall(scores: CellScores, cells: Int64[np.ndarray, " cells"], share: float) -> float:
    """The share of some cells among those of highest score, so large a share of all."""
    found = top_cells(scores, max(1, round(share * len(scores))))
    return float(np.isin(cells, found).mean())
