"""Every layer from k of its cells at once."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, mean_ratio, numbered
from ffmem.analyses.truncation import ORDERS, AllLayers, Order, numbers_of_cells, truncate_all_layers
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.gupta2021.context import Gupta2021
from ffmem.studies.gupta2021.shown import NAMES, rows_by_k, told
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, below

EXPERIMENT = "all-layers"
_NEAR = 0.05
"""Of what is lost without any cell: so much is near to nothing."""
_PAPER_SHARE = 128 / 3072
"""Of the cells: the paper's smallest k with scores as good as with all."""


@dataclass(frozen=True)
class AllLayersResult:
    """What is lost with k cells in every layer; what was lost at each position lies beside it as arrays."""

    n_positions: int
    n_documents: int
    ks: tuple[int, ...]
    n_cells: int
    """Of the largest layer."""
    d_model: int
    loss: Estimate
    """Of the next token, with all cells, in nats."""
    change: dict[Order, tuple[Estimate, ...]]
    """For each of the ks, in nats."""
    divergence: dict[Order, tuple[Estimate, ...]]
    same: dict[Order, tuple[Estimate, ...]]
    """Share of positions whose most probable token stays."""


def _run(study: Gupta2021, listen: StageListener) -> AllLayersResult:
    found = truncate_all_layers(
        study.model,
        study.positions,
        bos=study.bos,
        seed=study.options.seed,
        on_pass=lambda done, total: listen(Stage(EXPERIMENT, done, total)),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(AllLayers)})
    at, n_cells = _At(found), max(layer.n_cells for layer in study.model.facts.layers)
    return AllLayersResult(
        n_positions=len(found.document),
        n_documents=len(np.unique(found.document)),
        ks=numbers_of_cells(n_cells),
        n_cells=n_cells,
        d_model=study.model.facts.d_model,
        loss=mean_ratio(at.sums(found.loss)).estimate,
        change=at.estimates(found.change),
        divergence=at.estimates(found.divergence),
        same=at.estimates(found.same.astype(float)),
    )


class _At:
    """What was lost at each position, ready to be summed by document."""

    def __init__(self, found: AllLayers) -> None:
        self.found = found
        self._groups, self._n_groups = numbered(found.document)

    def sums(self, values: np.ndarray) -> Sums:
        """Of a number of each position."""
        return Sums.of(values, self._groups, self._n_groups)

    def change(self, order: Order, at: int) -> np.ndarray:
        """Of the loss, at each position, with the k of this number."""
        found: np.ndarray = self.found.change[:, ORDERS.index(order), at]
        return found

    def left_over(self, order: Order, at: int) -> Sums:
        """What is lost, less `_NEAR` of what is lost without any cell: below 0 where it is near to nothing."""
        return self.sums(self.change(order, at) - _NEAR * self.change(order, 0))

    def estimates(self, values: np.ndarray) -> dict[Order, tuple[Estimate, ...]]:
        """For each order and k."""
        return {
            order: tuple(mean_ratio(self.sums(values[:, i, j])).estimate for j in range(values.shape[2]))
            for i, order in enumerate(ORDERS)
        }


def _at(findings: Findings) -> _At:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    return _At(AllLayers(**{one.name: arrays[one.name] for one in fields(AllLayers)}))


def _result(findings: Findings) -> AllLayersResult:
    return findings.get(EXPERIMENT, AllLayersResult)


def paper_k(found: AllLayersResult) -> int:
    """The number of the smallest k that is as large a share of the cells as the paper's."""
    return next(i for i, k in enumerate(found.ks) if k >= _PAPER_SHARE * found.n_cells)


def enough(found: AllLayersResult, order: Order) -> int | None:
    """The least k from which on no more than `_NEAR` of what is lost without any cell is lost; None if that is nothing."""
    lost = [one.value for one in found.change[order]]
    if not lost[0] > 0:
        return None
    least = max((i for i, one in enumerate(lost) if one > _NEAR * lost[0]), default=-1) + 1
    return found.ks[min(least, len(found.ks) - 1)]


def _reading(findings: Findings) -> str:
    found = _result(findings)
    at = paper_k(found)
    own, other = found.change["coefficient"][at].value, found.change["contribution"][at].value
    ks = {order: enough(found, order) for order in ORDERS}
    least = (
        f"{100 * _NEAR:.0f} % of what is lost without any cell are reached with k = "
        + ", ".join(f"{k:,} by {NAMES[order]}" for order, k in ks.items() if k is not None)
        if ks["contribution"] is not None
        else "without any cell nothing is lost: the cells of this model do not help to predict this text"
    )
    return (
        f"With k = {found.ks[at]:,} of {found.n_cells:,} cells in every layer the next token's loss changes by {own:+.3g} nats "
        f"by the paper's order and by {other:+.3g} by |m| x length of v; {least}."
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_positions:,} positions of held-out sentences of {found.n_documents:,} documents, all layers at once and at "
        "all tokens; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    at = paper_k(found)
    yield Number.of("loss of the next token with all cells", "-", found.loss, "nats")
    yield Number.of("more without any cell", "-", found.change["contribution"][0], "nats")
    for order in ORDERS:
        k = f"k = {found.ks[at]:,} of {found.n_cells:,}, {NAMES[order]}"
        paper = "F1 of question answering as with all" if order == "coefficient" else "-"
        yield Number.of(f"more with {k}", paper, found.change[order][at], "nats")
        yield Number.of(f"the most probable token stays, {k}", "-", found.same[order][at])
    for order in ORDERS:
        k_enough = enough(found, order)
        if k_enough is not None:
            share = k_enough / found.n_cells
            yield Number(f"cells needed to lose no more than {100 * _NEAR:.0f} % of that, {NAMES[order]}", "4 %", share)


def _claims(findings: Findings) -> Iterator[Claim]:
    found, at = _result(findings), _at(findings)
    place = paper_k(found)
    k = found.ks[place]
    if found.change["contribution"][0].value > 0:
        left = mean_ratio(at.left_over("coefficient", place))
        yield Claim(
            f"{percent(k / found.n_cells)} % of the cells of each layer (the paper's 4 %, or the next that was tried), those "
            "of largest coefficient, are nearly as good as all: no more than "
            f"{100 * _NEAR:.0f} % of what is lost without any cell is lost",
            below(left, unit="nats"),
            f"k = {k:,}: what is lost, less {100 * _NEAR:.0f} % of what is lost without any cell: {told(left)}",
        )
    less = mean_ratio(at.sums(at.change("chance", place) - at.change("coefficient", place)).differences)
    yield Claim(
        "the cells of largest coefficient are better kept than as many random active ones",
        above(less, unit="nats"),
        f"k = {k:,}, what random ones lose more: {told(less)}",
    )
    less = mean_ratio(at.sums(at.change("coefficient", place) - at.change("contribution", place)).differences)
    yield Claim(
        "the cells of largest |m| x length of v are better kept than those of largest coefficient",
        above(less, unit="nats"),
        f"k = {k:,}, what the paper's order loses more: {told(less)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    for name, values, caption, title, is_share in (
        (
            "truncated",
            found.change,
            "What the next token's loss gains with k cells in every layer.",
            "loss, nats more",
            False,
        ),
        (
            "truncated-divergence",
            found.divergence,
            "How far the prediction goes with k cells in every layer: KL(p || p').",
            "divergence, nats",
            False,
        ),
        ("truncated-same", found.same, "Positions whose most probable token stays.", "stay", True),
    ):
        rows = rows_by_k(found.ks, {NAMES[order]: some for order, some in values.items()})
        yield Chart(name, caption, "points", rows, title, x_title="k, cells kept in every layer", percent=is_share)


def _tables(findings: Findings) -> Iterator[Table]:
    found = _result(findings)
    rows = [
        {
            "k": k,
            "kept by": NAMES[order],
            "loss, more by": plain(found.change[order][i].value),
            "low": plain(found.change[order][i].low),
            "high": plain(found.change[order][i].high),
            "divergence": plain(found.divergence[order][i].value),
            "same top token": plain(found.same[order][i].value),
            "values read, of all": k / found.n_cells,
            "numbers of values read a token and layer": k * found.d_model,
        }
        for order in ORDERS
        for i, k in enumerate(found.ks)
    ]
    yield Table("truncated-layers", "k cells in every layer; losses in nats", tuple(rows[0]), rows, folded=True)


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    at = paper_k(found)
    share = found.ks[at] / found.n_cells
    yield (
        f"What would be saved, by counting: with k = {found.ks[at]:,} a token needs {percent(share)} % of the values of a "
        "layer, and all keys, since k cells are known only when all coefficients are: of a layer without a gate "
        f"{percent((1 + share) / 2)} % of its numbers, of one with a gate {percent((2 + share) / 3)} %. Nothing here is faster "
        "for it: the tokens of a batch keep different cells."
    )


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment(EXPERIMENT, AllLayersResult, _run)],
    results={EXPERIMENT: AllLayersResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Table 2",
            title="How many cells does the model need?",
            question="If every layer is made of its k strongest cells alone, how much worse are predictions?",
            definition="""
At every token and in every layer all coefficients but k are set to 0, so that y_k = sum of k m_i v_i + b, and the model goes
on from there. Which k: the largest m (signed, as in the paper), the largest |m| x length of v, the largest part of m v along
the sum of all, or random ones among those with m other than 0. Measured: by how much -ln p of the token that follows grows,
KL(p || p') from the model's own p, and whether the most probable token stays. The paper measures question answering: equal
numbers are not to be expected.""",
            conclude="""
How redundant the cells of a layer are under this text. Nothing of speed: all keys are needed to know which cells are the first.
No order is the best there is: cells cancel out, so that more of them may be worse. An order by signed m drops negative
coefficients first, which activations such as GELU have.""",
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
