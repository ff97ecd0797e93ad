"""Do values predict what follows the triggers of their keys? Geva et al. 2021: Figures 4, 5 and 6, Table 2, by depth."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int64

from ffmem.analyses.intervals import Estimate, Sums, numbered, ratios
from ffmem.analyses.resampling import of_draws, quantile_draws
from ffmem.analyses.values import NONE, Targets, ValueScores, median_length, score_values, targets, unigram_counts
from ffmem.ids import CellId
from ffmem.json_values import Record
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
    """Units that never fired with this sign."""
    n_without_next: int
    """Units all of whose triggers end their sentence."""
    n_passed_over: int
    """Units whose best trigger ends its sentence, so that nothing follows it."""
    agreement: Estimate
    """Share of all units whose value's top token is the one that follows the best trigger (Figure 4), as the paper counts: a
    unit whose best trigger ends its sentence, or that never fired, does not agree."""
    agreement_next_best: Estimate
    """The same of the units with a trigger that something follows, by the best of these."""
    agreement_firing: Estimate
    """Share of all units whose value's top token is the one that the best trigger ends with: what the official script compares
    with, by index."""
    uniform: float
    """What `agreement` would be for tokens drawn from the vocabulary: 1 / d_vocab."""
    unigram: float
    """For tokens drawn by their frequency in the index."""
    shuffled: Estimate
    """For the targets of other cells of the layer, over all ways of shuffling them."""
    at: tuple[Estimate, ...]
    """As `agreement_next_best`: share of units with the following token among the first k, for each k of `AT`."""
    reciprocal_rank: Estimate
    """Mean of 1 / (1 + rank)."""
    lift: Estimate
    """Mean of ln p(w) - ln q(w), q being frequency in the index (with half an occurrence for each token of the vocabulary)."""
    rank_quantiles: tuple[float, ...]
    """Of the rank of the following token, at `QUANTILES` (Figure 5)."""
    rank_median: Estimate


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
    document: int
    """That of its best trigger, as of `Units.document`."""


@dataclass(frozen=True)
class Agreement(Record):
    """What values say, layer by layer and over all layers."""

    projection: Projection
    layers: tuple[LayerAgreement, ...]
    by_probability: tuple[Bin, ...]
    by_unit_probability: tuple[Bin, ...]
    """The same with all values brought to one length."""
    strongest: tuple[StrongValue, ...]


@dataclass(frozen=True)
class Units:
    """The cells of all layers; of gated cells each sign is a unit. What is not there is `values.NONE`, or NaN."""

    layer: Int64[np.ndarray, " units"]
    """Place of the layer; units lie layer by layer."""
    cell: Int64[np.ndarray, " units"]
    axis: Int64[np.ndarray, " units"]
    """0: coefficients above 0; 1: below."""
    document: Int64[np.ndarray, " units"]
    """That of the trigger which stands for the unit; a number of its own for a unit that never fired."""
    n_triggers: Int64[np.ndarray, " units"]
    n_passed_over: Int64[np.ndarray, " units"]
    following: Int64[np.ndarray, " units"]
    following_best: Int64[np.ndarray, " units"]
    n_matches: Int64[np.ndarray, " units"]
    """Triggers that are followed by the value's top token."""
    top: Int64[np.ndarray, " units"]
    top_log_probability: Float[np.ndarray, " units"]
    unit_log_probability: Float[np.ndarray, " units"]
    following_rank: Int64[np.ndarray, " units"]
    following_log_probability: Float[np.ndarray, " units"]
    firing_rank: Int64[np.ndarray, " units"]

    @property
    def agrees(self) -> Bool[np.ndarray, " units"]:
        """Whether the value's top token follows the best trigger (Figure 4)."""
        found: np.ndarray = (self.following_best != NONE) & (self.top == self.following_best)
        return found

    @property
    def rank(self) -> Float[np.ndarray, " units"]:
        """Of the following token; NaN without one (Figure 5)."""
        return np.where(self.following == NONE, np.nan, self.following_rank)

    @property
    def chance(self) -> Float[np.ndarray, " units"]:
        """For how many of the units of the layer this value would agree, as a share."""
        found = np.zeros(len(self.top))
        for place in np.unique(self.layer):
            of = self.layer == place
            targets = self.following_best[of]
            counts = np.bincount(targets[targets != NONE], minlength=int(self.top[of].max()) + 1)
            found[of] = counts[self.top[of]] / of.sum()
        return found

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return int(self.layer.max()) + 1

    def by_layer(self, values: Float[np.ndarray, " units"]) -> Sums:
        """What documents add to the means of something, a column for each layer; NaN is left out."""
        return self.by(values, self.layer, self.n_layers)

    def by(self, values: Float[np.ndarray, " units"], column: Int64[np.ndarray, " units"], n_columns: int) -> Sums:
        """The same in other columns."""
        groups, n_groups = numbered(self.document)
        there = ~np.isnan(values.astype(np.float64))
        place, n = groups[there] * n_columns + column[there], n_groups * n_columns
        above = np.bincount(place, values[there], n).reshape(n_groups, n_columns)
        return Sums(above, np.bincount(place, minlength=n).reshape(n_groups, n_columns).astype(np.float64))


def measure_agreement(
    index: Index,
    model: Transformer,
    projection: Projection,
    *,
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> tuple[Agreement, Units, Float[np.ndarray, "draws layers"]]:
    """Agreement of every value with its key's triggers.

    Args:
        index: a finished index.
        model: its model.
        projection: how values become distributions; values of an encoder are always read by "raw".
        seed: of the bootstraps.
        on_layer: called with each layer's place when it is done.

    Returns:
        the layers; every unit; and the median rank of each layer in each draw of documents.

    Raises:
        InputError: the index does not have all cells of the model.

    Cost: one product of all values with the vocabulary; memory as `score_values`, and a few numbers a cell.
    """
    index.check_whole("the agreement of values with triggers, layer by layer,")
    length = median_length(model)
    parts = []
    for place in range(index.n_layers):
        wanted = targets(index, place)
        scores = score_values(model, place, model.projection_of(place, projection), wanted, length)
        parts.append(_units_of(place, wanted, scores))
        on_layer(place)
    units = Units(**{one.name: np.concatenate([part[one.name] for part in parts]) for one in fields(Units)})
    units = replace(units, document=np.where(units.document == NONE, -2 - np.arange(len(units.top)), units.document))
    draws = _median_ranks(units, seed)
    agreement = Agreement(
        projection=projection,
        layers=_layers(index, units, draws, seed),
        by_probability=_bins(units, units.top_log_probability, seed),
        by_unit_probability=_bins(units, units.unit_log_probability, seed),
        strongest=_strongest(index, units),
    )
    return agreement, units, draws


def _units_of(place: int, wanted: Targets, scores: ValueScores) -> dict[str, np.ndarray]:
    """The columns of `Units` of one layer."""
    n_cells, n_signs = scores.top.shape
    matches = (wanted.all_following == scores.top[..., None]).sum(-1)
    columns = {
        "layer": np.full((n_cells, n_signs), place),
        "cell": np.broadcast_to(np.arange(n_cells)[:, None], (n_cells, n_signs)),
        "axis": np.broadcast_to(np.arange(n_signs), (n_cells, n_signs)),
        "n_matches": matches,
    }
    for of in (wanted, scores):
        columns |= {one.name: getattr(of, one.name) for one in fields(of) if one.name in _UNIT_FIELDS}
    return {name: values.reshape(-1) for name, values in columns.items()}


_UNIT_FIELDS = {one.name for one in fields(Units)}


def _median_ranks(units: Units, seed: int) -> Float[np.ndarray, "draws layers"]:
    groups, n_groups = numbered(units.document)
    columns = []
    for place in range(units.n_layers):
        of = units.layer == place
        columns.append(quantile_draws(units.rank[of][:, None], groups[of], n_groups, 0.5, seed=seed)[:, 0])
    return np.stack(columns, axis=1)


def _layers(
    index: Index, units: Units, draws: Float[np.ndarray, "draws layers"], seed: int
) -> tuple[LayerAgreement, ...]:
    counts = unigram_counts(index)
    q = (counts + 0.5) / (counts + 0.5).sum()
    has_next, rank = units.following != NONE, units.rank
    n_groups = numbered(units.document)[1]

    def means(values: np.ndarray) -> list[Estimate]:
        return ratios(units.by_layer(values), seed=seed)

    agreement, firing = means(units.agrees), means(units.firing_rank == 0)
    shuffled, reciprocal = means(units.chance), means(1 / (1 + rank))
    lift = means(np.where(has_next, units.following_log_probability - np.log(q[units.following]), np.nan))
    at = [means(np.where(has_next, rank < k, np.nan)) for k in AT]
    found = []
    for place, layer in enumerate(index.cells.layers):
        of = units.layer == place
        ranks, some = rank[of & has_next], units.following_best[of] != NONE
        median = float(np.median(ranks)) if len(ranks) else np.nan
        found.append(
            LayerAgreement(
                layer=layer.name,
                n_units=int(of.sum()),
                n_without_trigger=int((units.n_triggers[of] == 0).sum()),
                n_without_next=int(((units.n_triggers > 0) & ~has_next)[of].sum()),
                n_passed_over=int(((units.n_triggers[of] > 0) & ~some).sum()),
                agreement=agreement[place],
                agreement_next_best=at[AT.index(1)][place],
                agreement_firing=firing[place],
                uniform=1 / len(counts),
                unigram=float((q[units.top[of]] * some).mean()),
                shuffled=shuffled[place],
                at=tuple(one[place] for one in at),
                reciprocal_rank=reciprocal[place],
                lift=lift[place],
                rank_quantiles=tuple(np.quantile(ranks, QUANTILES).tolist()) if len(ranks) else (np.nan,) * 5,
                rank_median=of_draws(median, draws[:, place], n_groups, len(ranks)).estimate,
            )
        )
    return tuple(found)


def bin_of(log_probabilities: Float[np.ndarray, " units"]) -> tuple[Int64[np.ndarray, " units"], np.ndarray]:
    """The number of the bin of each unit, of `N_BINS` of equal width in ln p; and the ends of the bins (Figure 6)."""
    p = log_probabilities.astype(np.float64)
    edges = np.linspace(p.min(), p.max(), N_BINS + 1)
    return np.clip(np.searchsorted(edges, p, side="right") - 1, 0, N_BINS - 1), edges


def _bins(units: Units, log_probabilities: Float[np.ndarray, " units"], seed: int) -> tuple[Bin, ...]:
    """Over all units; empty ones are left out."""
    place, edges = bin_of(log_probabilities)
    found = ratios(units.by(units.agrees, place, N_BINS), seed=seed)
    return tuple(
        Bin(float(np.exp(edges[i])), float(np.exp(edges[i + 1])), found[i]) for i in range(N_BINS) if found[i].n
    )


def _strongest(index: Index, units: Units) -> tuple[StrongValue, ...]:
    """By largest probability, equals by layer, cell and sign."""
    return tuple(
        StrongValue(
            cell=index.cells.cell_id(int(units.layer[one]), int(units.cell[one])),
            sign=-1 if units.axis[one] else 1,
            top_token=int(units.top[one]),
            probability=float(np.exp(units.top_log_probability[one])),
            n_matches=int(units.n_matches[one]),
            n_triggers=int(units.n_triggers[one]),
            document=int(units.document[one]),
        )
        for one in np.argsort(-units.top_log_probability, kind="stable")[:N_STRONGEST].tolist()
    )
