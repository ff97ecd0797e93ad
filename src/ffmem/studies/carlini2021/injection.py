"""Which way of looking finds cells that a sentence was put into: the INJ benchmark of Chang et al. 2024."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.memorised.cells import METHODS, Passage, cell_scores
from ffmem.analyses.memorised.extraction import draw_sequences
from ffmem.analyses.memorised.injection import ENOUGH, check_dense, injected, recall
from ffmem.errors import InputError
from ffmem.studies.carlini2021.cells import exact_passages, methods_for
from ffmem.studies.carlini2021.context import Audit
from ffmem.studies.carlini2021.told import mean_over
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import interval, points, share
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "injection"
_TUNED = 0.01
"""Share of all cells that a passage is put into."""
_LOOKED_AT = (0.01, 0.02, 0.05)
"""Shares of all cells, the first of a ranking, among which they are looked for."""
_LENGTH, _PREFIX = 12, 4
_PAPER = {
    "zero-out": ("24.9", "37.5", "53.8"),
    "integrated gradients": ("20.5", "32.1", "49.9"),
    "activation": ("3.0", "5.2", "13.3"),
    "chance": ("1", "2", "5"),
}
"""GPT-2 of 124 million parameters, 1 % of cells, in per cent."""


@dataclass(frozen=True)
class RecallFound:
    """How many of the cells that were tuned are among the first of a ranking; mean over passages."""

    method: str
    looked_at: float
    recall: Estimate


@dataclass(frozen=True)
class InjectionResult:
    """Passages that were put into cells."""

    n_passages: int
    n_learned: int
    """Of them, those that the cells could learn; the others are left out."""
    n_tuned: int
    """Cells of each."""
    n_cells: int
    recalls: tuple[RecallFound, ...]


def _run(audit: Audit, listen: StageListener) -> InjectionResult:
    model, options = audit.model, audit.options
    drawn = draw_sequences(audit.others, _LENGTH, options.injections, unknown=audit.unknown, seed=options.seed + 1)
    passages = [Passage(one, _PREFIX) for one in drawn.tokens]
    n_exact = exact_passages(model, passages, options.zero_out)
    n_tuned = max(1, round(_TUNED * model.cells.n_cells))
    found = np.full((len(passages), len(METHODS), len(_LOOKED_AT)), np.nan)
    for number, passage in enumerate(passages):
        with injected(model, passage, n_tuned, seed=options.seed + number) as tuned:
            for method in methods_for(model, exact=number < n_exact) if tuned.after < ENOUGH else ():
                scores = cell_scores(model, passage, method, seed=options.seed + number)
                found[number, METHODS.index(method)] = [recall(scores, tuned.cells, size) for size in _LOOKED_AT]
        listen(Stage(EXPERIMENT, number + 1, len(passages)))
    audit.results.save_arrays(EXPERIMENT, {"recall": found})
    return InjectionResult(
        n_passages=len(passages),
        n_learned=int(np.isfinite(found).any((1, 2)).sum()),
        n_tuned=n_tuned,
        n_cells=model.cells.n_cells,
        recalls=tuple(
            RecallFound(method, size, mean_over(found[:, number, place], (0.0, 1.0)).estimate)
            for number, method in enumerate(METHODS)
            for place, size in enumerate(_LOOKED_AT)
            if np.isfinite(found[:, number, place]).any()
        ),
    )


def _experiments(audit: Audit) -> Iterator[Experiment[Audit]]:
    if not audit.options.injections:
        return
    try:
        check_dense(audit.model)
    except InputError:
        return
    yield Experiment(EXPERIMENT, InjectionResult, _run)


def _found(findings: Findings) -> InjectionResult:
    return findings.get(EXPERIMENT, InjectionResult)


def _reading(findings: Findings) -> str:
    first = {one.method: one.recall.value for one in _found(findings).recalls if one.looked_at == _LOOKED_AT[0]}
    told = ", ".join(f"{method} {share(value)}" for method, value in sorted(first.items(), key=lambda one: -one[1]))
    return f"Of the cells that a passage was put into, among the first {share(_LOOKED_AT[0])} of a ranking: {told}."


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return (
        f"{found.n_learned} of {found.n_passages} passages of new text, which {found.n_tuned} of {found.n_cells:,} cells "
        f"learned to a loss below {ENOUGH:g} nats a token"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _found(findings).recalls:
        papers = _PAPER.get(one.method)
        paper = "-" if papers is None else f"{papers[_LOOKED_AT.index(one.looked_at)]} %"
        yield Number.of(f"found among the first {share(one.looked_at)}, {one.method}", paper, one.recall)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)["recall"]
    gradients, activation = (arrays[:, METHODS.index(name), 0] for name in ("integrated gradients", "activation"))
    found = mean_over(gradients, (0.0, 1.0))
    yield Claim(
        "integrated gradients find cells that were tuned more often than chance",
        above(found, _LOOKED_AT[0]),
        f"found among the first {share(_LOOKED_AT[0])}: {interval(found.estimate)}",
    )
    less = mean_over(gradients - activation)
    yield Claim(
        "integrated gradients find more of them than activation does",
        above(less),
        f"found, integrated gradients less activation: {points(less)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = [
        {
            "middle": one.looked_at, "from": one.looked_at, "to": one.looked_at, "series": one.method,
            "value": one.recall.value, "low": one.recall.low, "high": one.recall.high, "n": one.recall.n,
        }
        for one in _found(findings).recalls
    ]  # fmt: skip
    yield Chart(
        "tuned-cells-found",
        "Cells found, of those that a passage was put into.",
        "points",
        rows,
        "found",
        "cells looked at (1 = all)",
    )


CHAPTER: Chapter[Audit] = Chapter(
    order=5,
    experiments=_experiments,
    results={EXPERIMENT: InjectionResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Injection",
            title="Ways of looking, tried where the answer is known",
            question="If a passage is put into a few cells, which way of looking finds these?",
            definition="""
The values of 1 % of all cells, drawn at random, are tuned until they recall a new passage; then each ranking is asked for
them. Recall: the share of them among the first 1, 2 and 5 % of all cells. Afterwards the model is what it was. Only
values are tuned, so that coefficients up to the first of these layers stay the same, and activation cannot know them
there but by lengths.""",
            conclude="""
This tries the ways of looking, not the model: what training has put into a model may lie in other ways. A cell that was
tuned need not have been needed.""",
            applies=lambda findings: EXPERIMENT in findings.values and _found(findings).n_learned > 0,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
