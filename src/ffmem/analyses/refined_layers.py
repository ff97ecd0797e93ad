"""What happens at prefixes, layer by layer, with intervals: documents are drawn, and all layers share the draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ffmem.analyses.contributors import KINDS, Kind
from ffmem.analyses.intervals import NOTHING, Estimate, Sums, numbered, ratios
from ffmem.analyses.refinement import CASES, QUANTILES, Case, Refinement
from ffmem.analyses.resampling import chosen, chosen_of_draws, of_draws, quantile_draws
from ffmem.store.reader import Index


@dataclass(frozen=True)
class LayerRefinement:
    """One layer, over all prefixes."""

    layer: str
    active_quantiles: tuple[float, ...]
    """Of the share of active cells, at `QUANTILES` (Figure 7)."""
    active: Estimate
    effective: Estimate
    """Share of effective cells."""
    participation: Estimate
    softmax_participation: Estimate
    zero_agreement: Estimate
    """Share of prefixes where no cell that adds its value has top(y) as its top (Figure 8)."""
    zero_agreement_any: Estimate
    """No cell at all has."""
    zero_agreement_output: Estimate
    """As `zero_agreement` with top(o): the official code."""
    agrees: dict[Kind, Estimate]
    """Share of prefixes where a cell of a kind has top(y) as its top."""
    agrees_by_chance: dict[Kind, Estimate]
    """The same with the cells at prefixes of other documents."""
    agrees_beyond_chance: dict[Kind, Estimate]
    """The first less the second, of the same prefixes."""
    residual_match: Estimate
    """Share with R = w (Figure 9)."""
    output_match: Estimate
    """Share with O = w; 1 in the last layer."""
    probability_quantiles: tuple[float, ...]
    """Of the probability of w under r, at `QUANTILES` (Figure 10)."""
    probability: Estimate
    probability_median: Estimate
    cases: dict[Case, Estimate]
    """Shares, which add up to 1 (Figure 11)."""
    violations: Estimate


@dataclass(frozen=True)
class RefinedLayers:
    """All layers, and which of them stand out."""

    layers: tuple[LayerRefinement, ...]
    fewest_active: Estimate
    """Of the layer whose median share of active cells is smallest, corrected for having been chosen by it."""
    most_active: Estimate
    least_zero_agreement: Estimate
    """Of the layer where zero agreement is rarest, corrected in the same way."""


Values = Float[np.ndarray, "n layers"]


def chance_sums(found: Refinement, kind: Kind, *, beyond: bool = False) -> Sums:
    """Of agreement by chance, or of what goes beyond it, a column for each layer.

    The prefixes that chance is taken from were drawn, too: what each lifts it by is counted with its own document.
    """
    groups, n_groups = numbered(found.document)
    chance = found.chance(kind)
    sums = Sums.of(found.agrees(kind) - chance if beyond else chance, groups, n_groups)
    documents, first = np.unique(found.document, return_index=True)
    lifts = np.zeros_like(sums.above)
    if len(found.other_document):
        np.add.at(lifts, groups[first[np.searchsorted(documents, found.other_document)]], found.pull(kind))
    return Sums(sums.above - lifts if beyond else sums.above + lifts, sums.below, signed=beyond)


def by_layer(index: Index, found: Refinement, *, seed: int = 0) -> RefinedLayers:
    """Each layer, with intervals by a bootstrap over documents."""
    groups, n_groups = numbered(found.document)
    n = len(found.document)
    n_cells = np.array([layer.n_cells for layer in index.cells.layers])
    active = found.n_active / n_cells

    def means(values: Values) -> list[Estimate]:
        return ratios(Sums.of(values, groups, n_groups), seed=seed)

    layers = _layers([layer.name for layer in index.cells.layers], found, n_cells, means, seed)
    medians = quantile_draws(active, groups, n_groups, 0.5, seed=seed)
    fewest, most = (
        chosen_of_draws(np.median(active, 0), medians, which, n_groups, n)[1].estimate for which in ("least", "most")
    )
    zero = chosen(Sums.of(~found.active_agrees, groups, n_groups), "least", seed=seed)[1].estimate
    probability = np.exp(found.residual_log_probability.astype(np.float64))
    draws = quantile_draws(probability, groups, n_groups, 0.5, seed=seed)
    middles = [
        of_draws(float(np.median(column)), drawn, n_groups, n).estimate
        for column, drawn in zip(probability.T, draws.T, strict=True)
    ]
    layers = [replace(layer, probability_median=middle) for layer, middle in zip(layers, middles, strict=True)]
    return RefinedLayers(tuple(layers), fewest, most, zero)


def _layers(
    names: Sequence[str],
    found: Refinement,
    n_cells: np.ndarray,
    means: Callable[[Values], list[Estimate]],
    seed: int,
) -> list[LayerRefinement]:
    active, effective = found.n_active / n_cells, found.n_effective / n_cells
    probability = np.exp(found.residual_log_probability.astype(np.float64))
    agrees = {kind: means(found.agrees(kind)) for kind in KINDS}
    by_chance, beyond = (
        {kind: ratios(chance_sums(found, kind, beyond=one), seed=seed) for kind in KINDS} for one in (False, True)
    )
    cases = {name: means(found.cases == number) for number, name in enumerate(CASES)}
    columns = zip(
        means(active),
        means(effective),
        means(found.participation),
        means(found.softmax_participation),
        means(~found.active_agrees),
        means(~found.any_agrees),
        means(~found.active_agrees_output),
        means(found.residual_top == found.prediction[:, None]),
        means(found.output_top == found.prediction[:, None]),
        means(probability),
        means(found.violations),
        strict=True,
    )
    return [
        LayerRefinement(
            layer=names[place],
            active_quantiles=_quantiles(active[:, place]),
            active=one[0],
            effective=one[1],
            participation=one[2],
            softmax_participation=one[3],
            zero_agreement=one[4],
            zero_agreement_any=one[5],
            zero_agreement_output=one[6],
            agrees={kind: agrees[kind][place] for kind in KINDS},
            agrees_by_chance={kind: by_chance[kind][place] for kind in KINDS},
            agrees_beyond_chance={kind: beyond[kind][place] for kind in KINDS},
            residual_match=one[7],
            output_match=one[8],
            probability_quantiles=_quantiles(probability[:, place]),
            probability=one[9],
            probability_median=NOTHING,
            cases={name: cases[name][place] for name in CASES},
            violations=one[10],
        )
        for place, one in enumerate(columns)
    ]


def _quantiles(values: Float[np.ndarray, " n"]) -> tuple[float, ...]:
    return tuple(np.quantile(values, QUANTILES).tolist())
