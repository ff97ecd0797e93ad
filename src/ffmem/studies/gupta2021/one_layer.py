"""One layer at a time from k of its cells."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, draws_of, mean_ratio, numbered
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.removal import removal_layers
from ffmem.analyses.truncation import ORDERS, OneLayer, Order, numbers_of_cells, truncate_one_layer
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import line_rows
from ffmem.studies.gupta2021.context import Gupta2021
from ffmem.studies.gupta2021.shown import NAMES, rows_by_k, told
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "one-layer"
_NEAR = 0.05
_ORDER: Order = "contribution"
"""Of what is told of each layer."""
_SHOWN = 5
"""Layers with a line of their own."""


@dataclass(frozen=True)
class LayerTruncation:
    """One layer, from k of its cells."""

    layer: str
    n_cells: int
    active: Estimate
    """Cells with m other than 0."""
    without: Estimate
    """Loss, more without any of its cells, in nats."""
    needed: dict[Order, Estimate]
    """k95: the least k that loses no more than 5 % of that; NaN where nothing is lost without them."""
    change: dict[Order, tuple[Estimate, ...]]
    """For each of the ks."""
    error: dict[Order, tuple[float, ...]]
    """|y - y_k| / |y|, on average."""
    cosine: dict[Order, tuple[float, ...]]


@dataclass(frozen=True)
class OneLayerResult:
    """What is lost with k cells in one layer; what was lost at each prefix lies beside it as arrays."""

    n_prefixes: int
    n_documents: int
    n_layers: int
    """Of the model."""
    ks: tuple[int, ...]
    layers: tuple[LayerTruncation, ...]


def _run(study: Gupta2021, listen: StageListener) -> OneLayerResult:
    some = study.positions.some(study.options.layer_positions, seed=study.options.seed)
    found = truncate_one_layer(
        study.model,
        Continued(some.prefixes, some.following),
        bos=study.bos,
        seed=study.options.seed,
        on_prefix=lambda done: listen(Stage(EXPERIMENT, done, len(some))),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(OneLayer)})
    groups, n_groups = numbered(found.document)
    ks = numbers_of_cells(max(layer.n_cells for layer in study.model.facts.layers))
    names, sizes = study.layer_names(), [layer.n_cells for layer in study.model.facts.layers]

    def mean(values: np.ndarray) -> Estimate:
        return mean_ratio(Sums.of(values, groups, n_groups)).estimate

    def of_layer(number: int, place: int) -> LayerTruncation:
        change = found.change[:, number]
        return LayerTruncation(
            layer=names[place],
            n_cells=sizes[place],
            active=mean(found.n_active[:, number].astype(float)),
            without=mean(change[:, 0, 0]),
            needed={order: needed(change[:, i], ks, groups, n_groups) for i, order in enumerate(ORDERS)},
            change={order: tuple(mean(change[:, i, j]) for j in range(len(ks))) for i, order in enumerate(ORDERS)},
            error=_by_order(found.error[:, number]),
            cosine=_by_order(found.cosine[:, number]),
        )

    layers = tuple(of_layer(number, place) for number, place in enumerate(removal_layers(study.index.n_layers)))
    return OneLayerResult(len(some), len(np.unique(found.document)), study.index.n_layers, ks, layers)


def _by_order(values: np.ndarray) -> dict[Order, tuple[float, ...]]:
    return {order: tuple(values[:, i].mean(0).tolist()) for i, order in enumerate(ORDERS)}


def needed(change: np.ndarray, ks: tuple[int, ...], groups: np.ndarray, n_groups: int) -> Estimate:
    """k95 with the interval of its draws of documents.

    Args:
        change: (prefixes, ks) of the loss; the first k is 0.
        ks: the numbers of cells.
        groups: the document of each prefix, as a number.
        n_groups: how many there are.
    """
    sums = Sums.of(change, groups, n_groups).above
    own = _least(sums.sum(0)[None], ks)[0]
    drawn = _least(draws_of(n_groups, 0) @ sums, ks)
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(own) or n_groups < 2 or not len(drawn):
        return Estimate(float(own), np.nan, np.nan, len(change))
    low, high = np.quantile(drawn, [0.025, 0.975], method="closest_observation")
    return Estimate(float(own), float(low), float(high), len(change))


def _least(lost: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Of each row of losses, the least k from which on no more than `_NEAR` of the first is lost; NaN if that is none."""
    beyond = lost > _NEAR * lost[:, :1]
    last = lost.shape[1] - 1 - beyond[:, ::-1].argmax(1)
    at = np.minimum(np.where(beyond.any(1), last + 1, 0), len(ks) - 1)
    found: np.ndarray = np.where(lost[:, 0] > 0, np.array(ks, dtype=float)[at], np.nan)
    return found


def _result(findings: Findings) -> OneLayerResult:
    return findings.get(EXPERIMENT, OneLayerResult)


def _reading(findings: Findings) -> str:
    layers = _result(findings).layers
    told_of = [
        f"{one.needed[_ORDER].value:,.0f} in {one.layer}" for one in layers if not np.isnan(one.needed[_ORDER].value)
    ]
    if not told_of:
        return "No layer loses anything without its cells, one layer at a time, on this text."
    return f"Of one layer alone, by |m| x length of v, so many cells are enough: {', '.join(told_of)}."


def _sample(findings: Findings) -> str:
    found = _result(findings)
    n_layers = found.n_layers
    layers = f"all {n_layers}" if len(found.layers) == n_layers else f"{len(found.layers)} of {n_layers}"
    return (
        f"{found.n_prefixes:,} positions of held-out text of {found.n_documents:,} documents, in {layers} layers, one at a "
        "time and at the last token alone; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).layers:
        yield Number.of(f"{one.layer}: cells needed (k95) of {one.n_cells:,}", "-", one.needed[_ORDER], "cells")


def _worse_by_chance(findings: Findings, at: int) -> Uncertain:
    """By how much more random cells lose with the k of this number, mean of layers."""
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    groups, n_groups = numbered(arrays["document"])
    change = arrays["change"][:, :, :, at]
    worse = change[:, :, ORDERS.index("chance")] - change[:, :, ORDERS.index(_ORDER)]
    return mean_ratio(Sums.of(worse, groups, n_groups).differences)


def _claims(findings: Findings) -> Iterator[Claim]:
    found = _result(findings)
    at = next(i for i, k in enumerate(found.ks) if k >= found.layers[0].n_cells / 32)
    more = _worse_by_chance(findings, at)
    yield Claim(
        "in one layer, the cells of largest |m| x length of v are better kept than as many random active ones",
        above(more, unit="nats"),
        f"k = {found.ks[at]:,}, what random ones lose more, mean of layers: {told(more)}",
    )


def _needed_by(order: Order, layer: LayerTruncation) -> Estimate:
    return layer.needed[order]


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    chosen = np.unique(np.linspace(0, len(found.layers) - 1, _SHOWN).round().astype(int)).tolist()
    series = {found.layers[i].layer: found.layers[i].change[_ORDER] for i in chosen}
    caption = "What the next token's loss gains with k cells of one layer, by |m| x length of v."
    yield Chart(
        "truncated-one-layer", caption, "points", rows_by_k(found.ks, series), "loss, nats more",
        x_title="k, cells kept in the layer", percent=False,
    )  # fmt: skip
    rows = line_rows(found.layers, {NAMES[order]: partial(_needed_by, order) for order in ORDERS})
    caption = "Cells that a layer needs: the least k that loses no more than 5 % of what is lost without any of them."
    yield Chart("cells-needed", caption, "lines", rows, "cells", percent=False)


def _tables(findings: Findings) -> Iterator[Table]:
    found = _result(findings)
    rows = [
        {
            "layer": layer.layer,
            "k": k,
            "kept by": NAMES[order],
            "loss, more by": plain(layer.change[order][i].value),
            "low": plain(layer.change[order][i].low),
            "high": plain(layer.change[order][i].high),
            "|y - y_k| / |y|": plain(layer.error[order][i]),
            "cosine": plain(layer.cosine[order][i]),
        }
        for layer in found.layers
        for order in ORDERS
        for i, k in enumerate(found.ks)
    ]
    yield Table("truncated-by-layer", "k cells in one layer; losses in nats", tuple(rows[0]), rows, folded=True)


def _notes(findings: Findings) -> Iterator[str]:
    helpless = [one.layer for one in _result(findings).layers if np.isnan(one.needed[_ORDER].value)]
    if helpless:
        yield f"Without any of their cells nothing is lost in {', '.join(helpless)}, so that no k is told of them."


CHAPTER = Chapter(
    order=2,
    experiments=lambda _: [Experiment(EXPERIMENT, OneLayerResult, _run)],
    results={EXPERIMENT: OneLayerResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Addition",
            title="How many cells does each layer need?",
            question="If one layer is made of its k strongest cells, and all others are left alone, how much is lost?",
            definition="""
At the last token of a prefix, in one layer, y_k = sum of the first k m_i v_i + b stands in the place of y, and the layers above
go on from there. k95 is the least k from which on no more than 5 % of what is lost without any cell of the layer (k = 0, so
that y = b) is lost; powers of two are tried. Orders are those of the exhibit above.""",
            conclude="""
Other layers and later tokens make up for what one layer lacks at one token, so that a layer alone needs fewer cells than all
layers do together. A small k95 does not say that the other cells do nothing on other text.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)
