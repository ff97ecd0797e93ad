"""How many cells carry the task by themselves, against rival ways to choose as many."""

from collections.abc import Iterator, Sequence
from functools import partial

from ffmem.analyses.circuit.curves import REACHED, Curve, area, faithfulness, measure_curve, size_reached
from ffmem.analyses.intervals import Estimate, mean_ratio
from ffmem.studies.arora2026.context import CircuitStudy
from ffmem.studies.arora2026.findings import CURVES, Curves, all_of, has_all, sample_of, task_of
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, below

NAMES = {
    "relp": "relevance",
    "ig": "integrated gradients",
    "gradient": "gradient x activation",
    "activation": "|m||v|",
    "random": "random, same layers",
}
_RIVALS = ("ig", "gradient", "activation", "random")
_OUTSIDE = 0.2
"""Completeness below which little of the task is outside a circuit."""


def _run(number: int, shared: CircuitStudy, progress: StageListener) -> Curves:
    trial, curves = shared.trial(number), []
    sizes = shared.sizes(len(trial.nodes))
    for rule in shared.rules:
        name = f"{CURVES}{number} {NAMES[rule]}"
        progress(Stage(name, 0, len(sizes)))
        order = shared.order(number, rule)

        def listen(done: int, total: int, name: str = name) -> None:
            progress(Stage(name, done, total))

        curves.append(measure_curve(trial, rule, order, sizes, shared.templates[number].tested.whole, listen))
    return Curves(tuple(curves))


def _experiments(shared: CircuitStudy) -> Iterator[Experiment[CircuitStudy]]:
    for number in range(len(shared.templates)):
        yield Experiment(f"{CURVES}{number}", Curves, partial(_run, number))


def curves_of(findings: Findings, rule: str) -> list[Curve]:
    """The curves of one rule, a template each; none where the model cannot be asked."""
    found = (one.of(rule) for one in all_of(findings, CURVES, Curves))
    return [one for one in found if one is not None]


def common_sizes(curves: Sequence[Curve]) -> list[int]:
    """Sizes that every template has, less that of all nodes."""
    return [size for size in curves[0].sizes[:-1] if all(size in one.sizes[:-1] for one in curves)]


def size_of(findings: Findings) -> int:
    """Nodes of the circuits that claims are about."""
    wanted, sizes = findings.header["options"]["size"], common_sizes(curves_of(findings, "relp"))
    return wanted if wanted in sizes else max(sizes)


def _applies(findings: Findings) -> bool:
    return has_all(findings, CURVES)


def _reading(findings: Findings) -> str:
    curves = curves_of(findings, "relp")
    reached = size_reached(curves)
    if reached is None:
        return f"No circuit of the ladder keeps {REACHED:.0%} of F; only all cells do."
    at = curves[0].sizes.index(reached)
    cells = ", ".join(f"{one.n_cells[at]:,}" for one in curves)
    n = sum(one.n_nodes for one in task_of(findings).templates) / len(curves)
    return (
        f"Relevance needs {reached:,} of about {n:,.0f} candidates (a cell at a position) a template to keep {REACHED:.0%} "
        f"of F: {cells} different cells."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    size = size_of(findings)
    for rule, name in NAMES.items():
        curves = curves_of(findings, rule)
        if not curves:
            continue
        paper = "near 1 with about 200" if rule == "relp" else "-"
        yield Number.of(
            f"faithfulness of {size:,} nodes by {name}", paper, faithfulness(curves, size).estimate, unit=""
        )
    relp = curves_of(findings, "relp")
    found = faithfulness(relp, size, complement=True).estimate
    yield Number.of(f"completeness of {size:,} nodes by relevance (0: all of it is inside)", "near 0", found, unit="")
    for rule, name in NAMES.items():
        curves = curves_of(findings, rule)
        reached = size_reached(curves) if curves else None
        if reached is not None:
            paper = "about 100" if rule == "relp" else "-"
            yield Number(f"nodes for {REACHED:.0%} by {name}", paper, reached, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    relp, size = curves_of(findings, "relp"), size_of(findings)
    found = faithfulness(relp, size)
    yield Claim(
        f"{size:,} cells at their positions carry {REACHED:.0%} of the task by themselves",
        above(found, REACHED, unit="of faithfulness"),
        f"faithfulness {_told(found.estimate)}",
    )
    rest = faithfulness(relp, size, complement=True)
    yield Claim(
        "little of the task is outside these cells",
        below(rest, _OUTSIDE, unit="of completeness"),
        f"completeness {_told(rest.estimate)}, held against {_OUTSIDE}",
    )
    for rule in _RIVALS:
        rival = curves_of(findings, rule)
        if not rival:
            continue
        lead = mean_ratio(area(relp), area(rival))
        yield Claim(
            f"relevance needs fewer cells than {NAMES[rule]}",
            above(lead, unit="of the area"),
            f"area under the curve larger by {_told(lead.estimate)}",
        )


def _told(found: Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _rows(findings: Findings, *, complement: bool) -> list[Row]:
    """From one node on: an axis of logarithms has no 0."""
    rows: list[Row] = []
    for rule, name in NAMES.items():
        curves = curves_of(findings, rule)
        for size in common_sizes(curves)[1:] if curves else ():
            found = faithfulness(curves, size, complement=complement).estimate
            ends = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
            rows.append({"middle": size, "from": size, "to": size, "series": name, **ends})
    return rows


def _charts(findings: Findings) -> Iterator[Chart]:
    x_title = "cells at positions that are kept, of each template"
    yield Chart(
        "faithfulness", "What is left of F with these cells alone.", "points", _rows(findings, complement=False),
        "faithfulness", x_title, percent=False,
    )  # fmt: skip
    x_title = "cells at positions that are taken out, of each template"
    yield Chart(
        "completeness", "What is left of F without these cells.", "points", _rows(findings, complement=True), "completeness",
        x_title, percent=False,
    )  # fmt: skip


CHAPTER: Chapter[CircuitStudy] = Chapter(
    order=1,
    experiments=_experiments,
    results={CURVES: Curves},
    exhibits=(
        Exhibit(
            order=1,
            name="Curves",
            title="How many cells carry it?",
            question="With how few cells does the model still tell right from wrong, and what is left without them?",
            definition="""
Candidates are cells at positions. All that are not in a circuit stand at their mean over counterfactuals, in the model
itself; heads run on. Faithfulness: (F(C) - F(none)) / (F(all) - F(none)); completeness: the same of all cells but C.
Relevance: the difference of a coefficient between prompt and counterfactual, times what one more of it is worth with
attention weights, norm scales and gates held. Rivals choose as many: integrated gradients from the counterfactual's
coefficients, the gradient at the prompt alone, |m||v|, and random cells of the same layers.""",
            conclude="""
That cells carry F on these templates, with heads as they are: no claim about heads, nor about sentences of other forms.
More than 1 happens: cells that work against the task are left out. Few is not the same as understood.""",
            applies=_applies,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
