"""Cells of the last layer that act on the norm after it instead of on tokens: Stolfo et al. 2024. Serves `frequency`, too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import torch

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered
from ffmem.analyses.updates.at_mean import MEASURES, WAYS, CellsAtMean, Effects, Measure, Way, last_states
from ffmem.analyses.updates.weights import Geometry, entropy_cells, matched
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, points, share
from ffmem.studies.geva2022.context import Geva2022, as_tensor
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "confidence"
GROUPS = ("entropy", "as long as entropy", "frequency", "as long as frequency")
"""Cells by their weights; and for each of the first and third another of about the same length."""
_N_POINTS = 600
"""Most cells that a picture shows; those that are named are among them."""


@dataclass(frozen=True)
class LastCell:
    """A cell of the last layer, by its weights, and what putting it to its mean does."""

    cell: str
    group: str
    """Of `GROUPS`; "" for a cell that was not put to its mean."""
    length: float
    """Of its value, without what the final norm takes away."""
    null_share: float
    logit_variance: float
    correlation: float
    """Of its value's scores with the logarithm of how frequent tokens are."""
    entropy: float
    """Mean size of the change of the entropy, in nats; NaN for a cell that was not put to its mean."""
    loss: float
    divergence: float
    """From the unigram distribution."""
    mediated: Estimate
    """By the norm, or, of frequency cells and those beside them, by the direction of frequency."""


@dataclass(frozen=True)
class ConfidenceResult:
    """Cells of the last layer; what happened at each position lies beside it as arrays."""

    layer: str
    n_positions: int
    n_documents: int
    has_norm: bool
    n_null: int
    """Dimensions of the null space of the vocabulary."""
    d_model: int
    direction_fit: float
    """Correlation of the scores of the direction of frequency with the logarithm of how frequent tokens are."""
    cells: tuple[LastCell, ...]


def _run(study: Geva2022, listen: StageListener) -> ConfidenceResult:
    model, readout, positions = study.model, study.readout, study.positions
    with torch.inference_mode():
        weights = _Weights(study)
    groups = weights.groups(study.options.named_cells)
    states = last_states(model, positions, bos=study.bos)
    at_mean = CellsAtMean(model, readout, states, positions.following, as_tensor(study.unigram, model))
    both: list[Effects] = []
    asked: tuple[tuple[Way, ...], ...] = (("total", "direct"), ("total", "kept"))
    for part, ways in enumerate(asked):
        cells = np.concatenate(groups[2 * part : 2 * part + 2])

        def hear(done: int, n: int, part: int = part) -> None:
            listen(Stage(EXPERIMENT, part * n + done, 2 * n))

        both.append(at_mean.measure(cells, ways, weights.direction, hear))
    change = np.concatenate([one.change for one in both])
    cells = np.concatenate([one.cells for one in both])
    group = np.repeat(np.arange(len(GROUPS)), [len(one) for one in groups])
    arrays = {"change": np.abs(change), "cell": cells, "group": group, "document": positions.document}
    study.results.save_arrays(EXPERIMENT, arrays)
    return ConfidenceResult(
        layer=study.layer_names()[-1],
        n_positions=len(positions),
        n_documents=len(np.unique(positions.document)),
        has_norm=readout.norm is not None,
        n_null=weights.geometry.n_null,
        d_model=model.facts.d_model,
        direction_fit=weights.direction_fit,
        cells=tuple(_described(weights, _AtCells(arrays), study.layer_names()[-1], study.options.seed)),
    )


class _Weights:
    """What the values of the last layer say of its cells."""

    def __init__(self, study: Geva2022) -> None:
        self.geometry = Geometry(study.readout)
        rows = study.model.value_rows(study.model.facts.n_layers - 1)
        frequency = as_tensor(np.log(study.unigram), study.model)
        self.lengths: np.ndarray = self.geometry.as_normed(rows).norm(dim=1).cpu().numpy()
        self.null_shares = self.geometry.null_shares(rows)
        self.variances = self.geometry.logit_variances(rows)
        self.correlations = self.geometry.correlations(rows, frequency)
        self.direction = self.geometry.direction_of(frequency)
        fitted = study.readout.matrix @ self.direction.float()
        self.direction_fit = float(np.corrcoef(fitted.cpu().numpy(), frequency.cpu().numpy())[0, 1])

    def groups(self, n: int) -> list[np.ndarray]:
        """Rows of the cells of each of `GROUPS`."""
        entropy = entropy_cells(self.lengths, self.null_shares, self.variances, n)
        apart = np.argsort(-np.abs(self.correlations), kind="stable")
        frequency = apart[~np.isin(apart, entropy)][:n]
        beside = matched(self.lengths, entropy, frequency)
        return [entropy, beside, frequency, matched(self.lengths, frequency, np.concatenate([entropy, beside]))]


class _AtCells:
    """The sizes of changes at each position, ready to be summed by document.

    Args:
        arrays: as the experiment keeps them.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.change, self.cell, self.group = arrays["change"], arrays["cell"], arrays["group"]
        self._groups, self._n_groups = numbered(arrays["document"])

    def some(self, group: str) -> list[int]:
        """Places of the cells of a group."""
        return np.flatnonzero(self.group == GROUPS.index(group)).tolist()

    def sizes(self, places: Sequence[int], measure: Measure, way: Way) -> Sums:
        """Of the change of one measure, in one way: a column for each cell."""
        values = self.change[places, WAYS.index(way), MEASURES.index(measure)]
        return Sums.of(values.T, self._groups, self._n_groups)

    def left(self, places: Sequence[int], measure: Measure, way: Way) -> Sums:
        """Minus what is left of the change of each cell in another way, as a ratio of sums.

        Below 0, since it is no share of things that could be counted, as intervals would take it for; in such units that the
        lower sums count positions.
        """
        left, total = self.sizes(places, measure, way).above, self.sizes(places, measure, "total").above
        sums = total.sum(0)
        unit = np.divide(self.change.shape[-1], sums, out=np.zeros_like(sums), where=sums > 0)
        return Sums(-left * unit, total * unit)


def _described(weights: _Weights, at: _AtCells, layer: str, seed: int) -> Iterator[LastCell]:
    """All cells that are put to their mean, and so many others as a picture shows."""
    for place, (row, number) in enumerate(zip(at.cell.tolist(), at.group.tolist(), strict=True)):
        measure, way = _of_group(GROUPS[number])
        left = mean_ratio(at.left([place], measure, way))
        sizes = [float(at.sizes([place], measure, "total").ratios[0]) for measure in MEASURES]
        yield _last_cell(weights, layer, row, GROUPS[number], sizes, _mediated(left).estimate)
    others = np.setdiff1d(np.arange(len(weights.lengths)), at.cell)
    some = np.sort(np.random.default_rng([seed, 27]).permutation(others)[:_N_POINTS])
    for row in some.tolist():
        yield _last_cell(weights, layer, row, "", [np.nan] * 3, Estimate(np.nan, np.nan, np.nan, 0))


def _last_cell(
    weights: _Weights, layer: str, row: int, group: str, sizes: Sequence[float], mediated: Estimate
) -> LastCell:
    return LastCell(
        cell=f"{layer}.{row}",
        group=group,
        length=float(weights.lengths[row]),
        null_share=float(weights.null_shares[row]),
        logit_variance=float(weights.variances[row]),
        correlation=float(weights.correlations[row]),
        entropy=sizes[0],
        loss=sizes[1],
        divergence=sizes[2],
        mediated=mediated,
    )


def _of_group(group: str) -> tuple[Measure, Way]:
    """By what a group is measured, and what is kept."""
    return ("entropy", "direct") if group.endswith("entropy") else ("divergence", "kept")


def _mediated(left: Uncertain) -> Uncertain:
    """1 less what is left: see `_AtCells.left`."""
    return replace(left, value=1 + left.value)


def applies(findings: Findings) -> bool:
    """Whether cells were put to their mean."""
    return EXPERIMENT in findings.values


def confidence(findings: Findings) -> ConfidenceResult:
    """What came of it."""
    return findings.get(EXPERIMENT, ConfidenceResult)


def sample(findings: Findings) -> str:
    """What it was measured on."""
    found = confidence(findings)
    return (
        f"{found.n_positions:,} positions of held-out sentences of {found.n_documents:,} documents; cells of {found.layer}; "
        "intervals by drawing documents"
    )


@dataclass(frozen=True)
class Pair:
    """A group of cells, and those of about the same length beside it."""

    n: int
    own: Uncertain
    other: Uncertain
    less: Uncertain
    """The first less the second, by the same draws."""


def mediated(findings: Findings, group: str) -> Pair | None:
    """The share of effects that is mediated, mean of the cells of a group; None if there are none, or nothing changes."""

    def shares(at: _AtCells, name: str) -> Sums:
        return at.left(at.some(name), *_of_group(name))

    found = _pair(findings, group, shares)
    if found is None or isnan(found.less.value):
        return None
    return Pair(found.n, _mediated(found.own), _mediated(found.other), found.less)


def effect(findings: Findings, group: str) -> Pair | None:
    """The mean size of the total effect in nats, of the measure of a group."""
    return _pair(findings, group, lambda at, name: at.sizes(at.some(name), _of_group(name)[0], "total"))


def _pair(findings: Findings, group: str, sums: Callable[[_AtCells, str], Sums]) -> Pair | None:
    at = _AtCells(Results(findings.folder, findings.header).load_arrays(EXPERIMENT))
    own, other = (sums(at, name) for name in (group, f"as long as {group}"))
    if not own.above.shape[1] or not other.above.shape[1]:
        return None
    return Pair(own.above.shape[1], mean_ratio(own), mean_ratio(other), mean_ratio(own, other))


def nats(found: Uncertain) -> str:
    """An effect with its interval."""
    low, high = found.interval()
    return f"{found.value:.2g}" + (f" ({low:.2g} to {high:.2g})" if low == low else "")


def table(findings: Findings, group: str) -> Iterator[Table]:
    """The cells of a group, and those beside it."""
    rows = [
        {
            "cell": one.cell,
            "chosen as": one.group if one.group == group else f"as long as a cell of {group}",
            "|v|": _short(one.length),
            "null share": _short(one.null_share),
            "LogitVar": _short(one.logit_variance),
            "with frequency": _short(one.correlation),
            "entropy changes by": _short(one.entropy),
            "loss changes by": _short(one.loss),
            "divergence changes by": _short(one.divergence),
            "mediated %": round(100 * one.mediated.value, 1) if one.mediated.n else None,
        }
        for one in confidence(findings).cells
        if one.group in (group, f"as long as {group}")
    ]
    if rows:
        yield Table(f"{group}-cells", f"Cells named for {group}, and cells with values as long", tuple(rows[0]), rows)


def _short(value: float) -> float | None:
    return float(f"{value:.3g}") if value == value else None


def _reading(findings: Findings) -> str:
    found, pair = confidence(findings), mediated(findings, "entropy")
    named = ", ".join(one.cell for one in found.cells if one.group == "entropy")
    if pair is None:
        return f"No cell of {found.layer} has the weights of an entropy cell."
    if not found.has_norm:
        return (
            f"No norm stands before the vocabulary here, so that nothing can act through one: of the effect of {named}, which "
            f"have the weights of entropy cells, {share(pair.own.value)} is mediated. This model is the negative control."
        )
    return (
        f"Of the effect on the entropy of {named}, {share(pair.own.value)} is mediated by the norm; of cells with values as "
        f"long, {share(pair.other.value)}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = confidence(findings)
    n = sum(one.group == "entropy" for one in found.cells)
    yield Number("entropy cells named (at most as many as asked for)", "6 in GPT-2 small", n, unit="")
    pair, size = mediated(findings, "entropy"), effect(findings, "entropy")
    if pair is None or size is None:
        return
    yield Number.of("effect on the entropy that the norm mediates, entropy cells", "-", pair.own.estimate)
    yield Number.of("the same of cells with values as long", "-", pair.other.estimate)
    yield Number.of("change of the entropy by one entropy cell", "-", size.own.estimate, "nats")
    yield Number.of("the same by a cell with a value as long", "-", size.other.estimate, "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    pair, size = mediated(findings, "entropy"), effect(findings, "entropy")
    if pair is None or size is None or not confidence(findings).has_norm:
        return
    yield Claim(
        "entropy cells act through the final norm: more of their effect is mediated by it than of cells as long",
        above(pair.less),
        f"mediated: entropy cells {interval(pair.own.estimate)}, cells with values as long "
        f"{interval(pair.other.estimate)}; the first less the second: {points(pair.less)}",
    )
    yield Claim(
        "entropy cells move the entropy more than cells as long",
        above(size.less, unit="nats"),
        f"mean size of the change: {nats(size.own)} and {nats(size.other)} nats; the first less the second: {nats(size.less)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    cells = confidence(findings).cells
    rows = [
        {
            "middle": one.length,
            "name": one.cell,
            "series": one.group if one.group in ("entropy", "as long as entropy") else "other cells",
            "value": one.logit_variance,
            "low": one.logit_variance,
            "high": one.logit_variance,
            "n": 1,
        }
        for one in sorted(cells, key=lambda one: one.group not in ("", "frequency", "as long as frequency"))
        if one.logit_variance > 0
    ]
    yield Chart(
        "entropy-cells",
        "Cells of the last layer: how long their values are, and how differently they score tokens.",
        "scatter",
        rows,
        "variance of cosines with tokens",
        x_title="length of the value",
        percent=False,
        order=("other cells", "entropy", "as long as entropy"),
    )


CHAPTER = Chapter(
    order=3,
    experiments=lambda _: [Experiment(EXPERIMENT, ConfidenceResult, _run)],
    results={EXPERIMENT: ConfidenceResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Entropy cells",
            title="Cells that act through the final norm",
            question="Are there cells in the last layer that change how sure the model is, without being for any token?",
            definition="""
U' is the unembedding with the norm's gain and centring in it, less its mean over the vocabulary; its null space the last 1 %
of its right singular vectors, without the all-ones vector where the norm centres. An entropy cell: its value v is among the
longest tenth of the last layer, has a larger part there than the median value (null share, |V0' v| / |v|), and scores tokens
more alike (LogitVar, the variance of cos(U'_w, v)); named are those with the longest parts there. Each is put to its mean over
all positions, with the norm recomputed (total) and with its scale kept (direct). Mediated: 1 - sum |direct| / sum |total| over
positions. Beside each: the cell of the last layer whose value is nearest in length.""",
            conclude="""
A mediated share says through what an effect goes, not that the model has the cell for that. Where effects are small, shares
mean little: see the sizes. In "sandwich" layers the norm after the layer itself is kept as it was.""",
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=lambda findings: table(findings, "entropy"),
        ),
    ),
)
