"""Is every cell of a circuit needed, and does the circuit alone decide between the two words?"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ffmem.analyses.circuit.curves import single_nodes
from ffmem.analyses.circuit.ranking import at_random
from ffmem.analyses.intervals import Sums, Uncertain, each_ratio, mean_ratio, proportion
from ffmem.studies.arora2026.context import CircuitStudy
from ffmem.studies.arora2026.findings import SINGLE, Single, all_of, has_all, sample_of
from ffmem.studies.exhibit import Claim, Exhibit, Number
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

_NEEDED = 0.005
"""What a node that is needed takes with it, as a share of F(all) - F(none)."""


def _run(number: int, shared: CircuitStudy, progress: StageListener) -> Single:
    options, trial, whole = shared.options, shared.trial(number), shared.templates[number].tested.whole
    order = shared.order(number, "relp")
    circuit = trial.nodes.mask(order[: options.size])
    name = f"{SINGLE}{number}"

    def listen(done: int, total: int) -> None:
        progress(Stage(name, done, total))

    found = single_nodes(trial, circuit, whole, most=options.single, seed=options.seed, progress=listen)
    others = at_random(trial.nodes, order, options.seed)[: options.size]
    return Single(
        drops=found.drops,
        gains=found.gains,
        whole=tuple(whole.tolist()),
        swapped=tuple(trial.swapped(circuit).tolist()),
        swapped_random=tuple(trial.swapped(trial.nodes.mask(others)).tolist()),
        swapped_all=tuple(trial.swapped(trial.nodes.mask(order)).tolist()),
    )


def _experiments(shared: CircuitStudy) -> Iterator[Experiment[CircuitStudy]]:
    for number in range(len(shared.templates)):
        yield Experiment(f"{SINGLE}{number}", Single, partial(_run, number))


def _applies(findings: Findings) -> bool:
    return has_all(findings, SINGLE)


def _flips(findings: Findings, which: str) -> Sums:
    """Prompts after which the wrong word is above the right one, once cells are swapped."""
    flipped = np.concatenate([np.array(getattr(one, which)) < 0 for one in all_of(findings, SINGLE, Single)])
    return Sums(flipped[:, None].astype(float), np.ones((len(flipped), 1)))


def _of_nodes(findings: Findings, which: str) -> np.ndarray:
    return np.concatenate([np.array(getattr(one, which), dtype=float) for one in all_of(findings, SINGLE, Single)])


def _lead(findings: Findings) -> Uncertain:
    """By how much more a node of a circuit does than one outside; nodes are drawn."""
    drops, gains = _of_nodes(findings, "drops"), _of_nodes(findings, "gains")
    differ = drops - np.abs(gains)
    return each_ratio(Sums(differ[:, None], np.ones((len(differ), 1))).differences)[0]


def _reading(findings: Findings) -> str:
    drops, flips = _of_nodes(findings, "drops"), each_ratio(_flips(findings, "swapped"))[0]
    needed = float((drops > _NEEDED).mean()) if len(drops) else float("nan")
    return (
        f"{needed:.0%} of the cells that were tried take more than {_NEEDED:.1%} of F with them; with the circuit's cells as "
        f"in the counterfactual, {flips.value:.0%} of the prompts turn to the other word."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    drops = _of_nodes(findings, "drops")
    needed = proportion(int((drops > _NEEDED).sum()), len(drops))
    yield Number.of(f"cells of a circuit without which more than {_NEEDED:.1%} of F is gone", "-", needed)
    gains = np.abs(_of_nodes(findings, "gains"))
    yield Number.of(
        "cells outside of which the same can be said", "-", proportion(int((gains > _NEEDED).sum()), len(gains))
    )
    for which, told in (
        ("swapped", "the circuit"),
        ("swapped_random", "as many at random"),
        ("swapped_all", "all cells"),
    ):
        found = each_ratio(_flips(findings, which))[0].estimate
        yield Number.of(f"prompts that turn to the other word: {told} swapped", "-", found)


def _claims(findings: Findings) -> Iterator[Claim]:
    lead = mean_ratio(_flips(findings, "swapped"), _flips(findings, "swapped_random"))
    low, high = lead.interval()
    yield Claim(
        "the circuit's cells decide between the two words more than as many others",
        above(lead),
        f"more prompts turn by {100 * lead.value:.1f} points ({100 * low:.1f} to {100 * high:.1f})",
    )
    nodes = _lead(findings)
    low, high = nodes.interval()
    yield Claim(
        "a cell of a circuit does more than one outside",
        above(nodes),
        f"it moves F by {100 * nodes.value:.2f} points more ({100 * low:.2f} to {100 * high:.2f})",
    )


CHAPTER: Chapter[CircuitStudy] = Chapter(
    order=2,
    experiments=_experiments,
    results={SINGLE: Single},
    exhibits=(
        Exhibit(
            order=2,
            name="Single cells",
            title="Is each of them needed, and do they decide?",
            question="What does a circuit lose with one of its cells, and does the word flip when its cells are swapped?",
            definition="""
One by one, cells of the circuit are put at their mean over counterfactuals, and cells outside are let in; what that does
to F is told as a share of F(all) - F(none). Swapped: the circuit's cells have the coefficients that they have in the
counterfactual, all others are as the model has them; a prompt turns if the wrong word is above the right one.""",
            conclude="""
That a cell moves F in this circuit, not that no other could do the same: cells that stand in for each other do not show
when they are taken out one by one. Intervals of what cells do are over cells that were tried, as if these were
independent.""",
            applies=_applies,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
        ),
    ),
)
