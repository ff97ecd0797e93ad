"""Do values predict what follows the triggers of their keys? Geva et al. 2021: Figures 4, 5 and 6, Table 2, by depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, mean, proportion
from ffmem.analyses.values import NONE, Targets, ValueScores, median_length, score_values, targets, unigram_counts
from ffmem.ids import CellId
from ffmem.models.transformer import Transformer
from ffmem.store.facts import Projection
from ffmem.store.reader import Index

AT = (1, 5, 10, 50, 100)
"""The k of agreement@k."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of box plots."""
N_BINS = 10
"""Of Figure 6."""
N_STRONGEST = 100
"""Values of Table 2."""


@dataclass(frozen=True)
class LayerAgreement:
    """The cells of one layer. Of gated cells each sign of the coefficient is a unit of its own: it has its own triggers."""

    layer: str
    n_units: int
    """Cells, times signs."""
    n_without_trigger: int
    """Units that never fired with this sign: they are left out."""
    n_without_next: int
    """Units all of whose triggers end their sentence: left out, too."""
    n_passed_over: int
    """Units whose best trigger ends its sentence, so that a later one stands for them."""
    agreement: Estimate
    """Share of units whose value's top token is the one that follows the best trigger (Figure 4)."""
    agreement_firing: Estimate
    """The same with the token that the trigger ends with: what the official script compares with, by index."""
    agreement_of_all: float
    """As `agreement`, units that are left out counted as disagreeing: the paper's denominator."""
    uniform: float
    """What `agreement` would be for tokens drawn from the vocabulary: 1 / d_vocab."""
    unigram: float
    """For tokens drawn by their frequency in the index."""
    shuffled: float
    """For the targets of other cells of the layer, over all ways of shuffling them."""
    at: tuple[Estimate, ...]
    """Share of units with the following token among the first k, for each k of `AT`."""
    reciprocal_rank: Estimate
    """Mean of 1 / (1 + rank)."""
    lift: Estimate
    """Mean of ln p(w) - ln q(w), q being frequency in the index (with half an occurrence for each token of the vocabulary)."""
    rank_quantiles: tuple[float, ...]
    """Of the rank of the following token, at `QUANTILES` (Figure 5)."""


@dataclass(frozen=True)
class Bin:
    """Values of all layers whose largest probability lies in a range (Figure 6)."""

    low: float
    high: float
    agreement: Estimate


@dataclass(frozen=True)
class StrongValue:
    """One of the values with the largest probability (Table 2)."""

    cell: CellId
    sign: int
    top_token: int
    probability: float
    n_matches: int
    """Triggers that are followed by the top token."""
    n_triggers: int


@dataclass(frozen=True)
class Agreement:
    """What values say, layer by layer and over all layers."""

    projection: Projection
    layers: tuple[LayerAgreement, ...]
    by_probability: tuple[Bin, ...]
    by_unit_probability: tuple[Bin, ...]
    """The same with all values brought to one length."""
    strongest: tuple[StrongValue, ...]


@dataclass(frozen=True)
class _Layer:
    place: int
    targets: Targets
    scores: ValueScores


def measure_agreement(
    index: Index,
    model: Transformer,
    projection: Projection,
    *,
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> Agreement:
    """Agreement of every value with its key's triggers.

    Args:
        index: a finished index.
        model: its model.
        projection: how values become distributions; values of an encoder are always read by "raw".
        seed: of the bootstraps.
        on_layer: called with each layer's place when it is done.

    Raises:
        InputError: the index does not have all cells of the model.

    Cost: one product of all values with the vocabulary; memory as `score_values`, and a few numbers a cell.
    """
    index.check_whole("the agreement of values with triggers, layer by layer,")
    counts, length = unigram_counts(index), median_length(model)
    layers = []
    for place in range(index.n_layers):
        wanted = targets(index, place)
        scores = score_values(model, place, model.projection_of(place, projection), wanted, length)
        layers.append(_Layer(place, wanted, scores))
        on_layer(place)
    return Agreement(
        projection=projection,
        layers=tuple(_layer_agreement(index, one, counts, seed) for one in layers),
        by_probability=_bins(layers, [one.scores.top_log_probability for one in layers]),
        by_unit_probability=_bins(layers, [one.scores.unit_log_probability for one in layers]),
        strongest=tuple(_strongest(index, layers)),
    )


def _layer_agreement(index: Index, one: _Layer, counts: np.ndarray, seed: int) -> LayerAgreement:
    wanted, scores = one.targets, one.scores
    some = wanted.following != NONE
    n, ranks = int(some.sum()), scores.following_rank[some]
    following, top = wanted.following[some], scores.top[some]
    cells = np.nonzero(some)[0]  # the two signs of a cell share its value
    q = (counts + 0.5) / (counts + 0.5).sum()
    n_agree = int((ranks == 0).sum())
    pairs = int(np.bincount(top, minlength=len(counts)) @ np.bincount(following, minlength=len(counts)))
    return LayerAgreement(
        layer=index.cells.layers[one.place].name,
        n_units=some.size,
        n_without_trigger=int((wanted.n_triggers == 0).sum()),
        n_without_next=int(((wanted.n_triggers > 0) & ~some).sum()),
        n_passed_over=int((wanted.n_passed_over > 0).sum()),
        agreement=proportion(n_agree, n),
        agreement_firing=proportion(int((scores.firing_rank[some] == 0).sum()), n),
        agreement_of_all=n_agree / some.size,
        uniform=1 / len(counts),
        unigram=float(q[top].mean()) if n else np.nan,
        shuffled=pairs / n**2 if n else np.nan,
        at=tuple(proportion(int((ranks < k).sum()), n) for k in AT),
        reciprocal_rank=mean(1 / (1.0 + ranks), cells, seed=seed),
        lift=mean(scores.following_log_probability[some] - np.log(q[following]), cells, seed=seed),
        rank_quantiles=tuple(np.quantile(ranks, QUANTILES).tolist()) if n else (np.nan,) * len(QUANTILES),
    )


def _bins(layers: Sequence[_Layer], log_probabilities: Sequence[np.ndarray]) -> tuple[Bin, ...]:
    """Of equal width in ln p, over all units with a target; empty ones are left out."""
    some = [one.targets.following != NONE for one in layers]
    p = np.concatenate([values[which] for values, which in zip(log_probabilities, some, strict=True)]).astype(
        np.float64
    )
    agrees = np.concatenate([one.scores.following_rank[which] == 0 for one, which in zip(layers, some, strict=True)])
    if not len(p):
        return ()
    edges = np.linspace(p.min(), p.max(), N_BINS + 1)
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, N_BINS - 1)
    n, hits = np.bincount(place, minlength=N_BINS), np.bincount(place[agrees], minlength=N_BINS)
    return tuple(
        Bin(float(np.exp(edges[i])), float(np.exp(edges[i + 1])), proportion(int(hits[i]), int(n[i])))
        for i in range(N_BINS)
        if n[i]
    )


def _strongest(index: Index, layers: Sequence[_Layer]) -> list[StrongValue]:
    """By largest probability, equals by layer, cell and sign."""
    p = np.concatenate([one.scores.top_log_probability.reshape(-1) for one in layers])
    sizes = np.array([one.scores.top.size for one in layers])
    ends = sizes.cumsum()
    found = []
    for flat in np.argsort(-p, kind="stable")[:N_STRONGEST].tolist():
        number = int(np.searchsorted(ends, flat, side="right"))
        one = layers[number]
        row, axis = divmod(flat - int(ends[number] - sizes[number]), one.scores.top.shape[1])
        top = int(one.scores.top[row, axis])
        found.append(
            StrongValue(
                cell=index.cells.cell_id(one.place, row),
                sign=-1 if axis else 1,
                top_token=top,
                probability=float(np.exp(p[flat])),
                n_matches=int((one.targets.all_following[row, axis] == top).sum()),
                n_triggers=int(one.targets.n_triggers[row, axis]),
            )
        )
    return found
