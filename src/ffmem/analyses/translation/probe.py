"""A d x d matrix before the model's own frozen head, trained to name the word of a translation from a vector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.translation.rows import Rows
from ffmem.analyses.values import rank_of
from ffmem.models.transformer import Transformer

_PAIRS = 32
"""Of a step of training."""
_AT_ONCE = 512
"""Vectors whose scores are held at a time."""
_RATE, _RATE_OF_SHARES = 3e-3, 0.1
"""Of Adam, for the matrix and for the logits of the shares; both fall to 0 in a straight line."""
_RIDGE = 1e-3
"""Of the mean square of a vector's numbers."""


class Head:
    """The way of a state to scores: n, the matrix, U and b; all but the matrix are the model's, frozen.

    Args:
        model: whose head it is.
    """

    def __init__(self, model: Transformer) -> None:
        self._unembedding, self.device = model.unembedding, model.device
        self._norm = model.unembedding.final_norm if model.unembedding.own_projection == "final-norm" else None
        self.d_model = model.facts.d_model

    def normed(self, states: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_model"]:
        """n(o)."""
        states = states.to(self.device)
        found: Tensor = states if self._norm is None else self._norm(states)
        return found

    def scores(self, normed: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
        """U n(o) + b, with all else that the model's head does."""
        return self._unembedding.of_normed(normed)


@dataclass(frozen=True)
class Probe:
    """What was trained."""

    matrix: Float[Tensor, "d_model d_model"] | None
    """W, from the right: n(o) @ matrix; None: I."""
    shares: Float[Tensor, "maps"] | None
    """Of each map in the mix, which add up to 1; None: nothing is mixed."""


IDENTITY = Probe(None, None)


def train(
    head: Head,
    rows: Rows,
    targets: Sequence[Int64[Tensor, "rows"]],
    last: Rows,
    *,
    seed: int,
    on_step: Callable[[int, int], None] = lambda _done, _all: None,
) -> Probe:
    """One epoch of cross-entropy on the words of the translations, from the matrix that is nearest to the model's last states.

    W begins as the ridge regression of n(o) onto the normed last states of the decoder (with an even mix of all maps), and
    goes on by Adam, together with the shares of the maps, over all pairs in an order that is drawn.

    Args:
        head: frozen.
        rows: what is read.
        targets: of each pair, the words of the translation.
        last: the decoder's last states at the same places.
        seed: of the order.
        on_step: told of the progress.
    """
    n_pairs = len(targets)
    logits = torch.zeros(rows.n_maps, requires_grad=True) if rows.n_maps else None
    even = None if logits is None else torch.full((rows.n_maps,), 1 / rows.n_maps)
    matrix = _nearest(head, rows, last, even, n_pairs).to(head.device).requires_grad_()
    groups = [{"params": [matrix], "lr": _RATE}]
    if logits is not None:
        groups.append({"params": [logits], "lr": _RATE_OF_SHARES})
    trained = [matrix] if logits is None else [matrix, logits]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    order = np.random.default_rng(seed).permutation(n_pairs).tolist()
    starts = range(0, n_pairs, _PAIRS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(starts))
    for step, start in enumerate(starts, 1):
        some = order[start : start + _PAIRS]
        shares = None if logits is None else logits.softmax(0)
        scores = head.scores(head.normed(rows.of(some, shares)) @ matrix)
        wanted = torch.cat([targets[number] for number in some]).to(scores.device)
        loss = torch.nn.functional.cross_entropy(scores.float(), wanted)
        for one, slope in zip(trained, torch.autograd.grad(loss, trained), strict=True):
            one.grad = slope
        optimizer.step()
        schedule.step()
        on_step(step, len(starts))
    return Probe(matrix.detach().cpu(), None if logits is None else logits.detach().softmax(0))


def _nearest(head: Head, rows: Rows, last: Rows, even: Tensor | None, n_pairs: int) -> Tensor:
    """Ridge regression, from sums over all pairs."""
    squares = products = torch.zeros(head.d_model, head.d_model, dtype=torch.float64)
    with torch.no_grad():
        for start in range(0, n_pairs, _PAIRS):
            some = range(start, min(start + _PAIRS, n_pairs))
            given = head.normed(rows.of(some, even)).double().cpu()
            wanted = head.normed(last.of(some, None)).double().cpu()
            squares, products = squares + given.T @ given, products + given.T @ wanted
    size = squares.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    found: Tensor = torch.linalg.solve(squares + _RIDGE * size * torch.eye(head.d_model, dtype=torch.float64), products)
    return found.float()


def ranks(head: Head, rows: Rows, targets: Sequence[Int64[Tensor, "rows"]], probe: Probe) -> Int64[np.ndarray, "rows"]:
    """The rank of each word of the translations among all scores, from 0, pair by pair.

    Cost: a score for each token of the vocabulary and each vector.
    """
    found: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(targets), _PAIRS):
            some = range(start, min(start + _PAIRS, len(targets)))
            states = head.normed(rows.of(some, probe.shares))
            states = states if probe.matrix is None else states @ probe.matrix.to(states.device)
            wanted = torch.cat([targets[number] for number in some]).to(states.device)
            for first in range(0, len(states), _AT_ONCE):
                scores = head.scores(states[first : first + _AT_ONCE]).float()
                found.append(rank_of(scores, wanted[first : first + _AT_ONCE]).cpu().numpy())
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
