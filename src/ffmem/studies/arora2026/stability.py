"""Are the same cells found with other pairs, and when the same is said in other words?"""

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import torch

from ffmem.analyses.circuit.curves import chance_overlap, overlap
from ffmem.analyses.circuit.kept_cells import Nodes
from ffmem.analyses.circuit.pairs import Group
from ffmem.analyses.circuit.ranking import at_random, node_scores
from ffmem.studies.arora2026.context import CircuitStudy
from ffmem.studies.arora2026.findings import CELLS, Located, all_of, has_all, sample_of, task_of
from ffmem.studies.exhibit import Chart, Exhibit, Number, Row
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener

Cells = tuple[tuple[int, int], ...]


def _run(number: int, shared: CircuitStudy, _: StageListener) -> Located:
    group, options = shared.templates[number].located, shared.options
    order, nodes = shared.order(number, "relp"), Nodes.of(shared.model, group.ids.shape[1])
    half = len(group) // 2

    def cells(nodes_taken: torch.Tensor) -> Cells:
        return tuple(sorted(set(nodes.cells(nodes_taken[: options.size]))))

    def located(some: Group) -> Cells:
        scores = node_scores(shared.model, some, "relp").abs()
        return cells(scores.argsort(descending=True, stable=True).cpu())

    return Located(
        whole=cells(order),
        first=located(group[:half]),
        second=located(group[half:]),
        random=cells(at_random(nodes, order, options.seed)),
    )


def _experiments(shared: CircuitStudy) -> Iterator[Experiment[CircuitStudy]]:
    for number in range(len(shared.templates)):
        yield Experiment(f"{CELLS}{number}", Located, partial(_run, number))


def _applies(findings: Findings) -> bool:
    return has_all(findings, CELLS)


def _between(findings: Findings) -> Iterator[tuple[str, str, float, float]]:
    """Two templates: how many cells they share, and how many by chance."""
    task, found = task_of(findings), all_of(findings, CELLS, Located)
    named = list(zip((one.name for one in task.templates), found, strict=True))
    for (one, first), (other, second) in combinations(named, 2):
        by_chance = chance_overlap(len(first.whole), len(second.whole), task.n_cells)
        yield one, other, overlap(first.whole, second.whole), by_chance


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _numbers(findings: Findings) -> Iterator[Number]:
    found, task = all_of(findings, CELLS, Located), task_of(findings)
    halves = [overlap(one.first, one.second) for one in found]
    chance = [chance_overlap(len(one.first), len(one.second), task.n_cells) for one in found]
    layers = [overlap(one.whole, one.random) for one in found]
    yield Number("cells shared by circuits of two halves of the pairs", "-", _mean(halves), min(halves), max(halves))
    yield Number("the same by chance", "-", _mean(chance))
    yield Number("shared with random cells of the same layers", "-", _mean(layers), min(layers), max(layers))
    between = list(_between(findings))
    if between:
        shared = [one[2] for one in between]
        yield Number("cells shared by circuits of two templates", "-", _mean(shared), min(shared), max(shared))
        yield Number("the same by chance, between templates", "-", _mean([one[3] for one in between]))


def _reading(findings: Findings) -> str:
    numbers = list(_numbers(findings))
    told = f"Two halves of the pairs give circuits that share {numbers[0].text(interval=False)} of their cells"
    if len(numbers) > 3:
        told += f", two templates {numbers[3].text(interval=False)}"
    return f"{told}; by chance {numbers[1].text(interval=False)}."


def _charts(findings: Findings) -> Iterator[Chart]:
    names = [one.name for one in task_of(findings).templates]
    found = all_of(findings, CELLS, Located)
    shared = {(one, other): share for one, other, share, _ in _between(findings)}
    rows: list[Row] = []
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            value = shared.get((one, other), shared.get((other, one), float("nan")))
            if row == column:
                value = overlap(found[row].first, found[row].second)
            rows.append({"panel": "", "row": one, "column": other, "value": value, "label": f"{100 * value:.0f}"})
    caption = (
        "Cells that two circuits share, of all that either has, in per cent; on the diagonal: two halves of the pairs."
    )
    yield Chart("shared-cells", caption, "heat", rows, "", "", extent=(0.0, 1.0))


CHAPTER: Chapter[CircuitStudy] = Chapter(
    order=3,
    experiments=_experiments,
    results={CELLS: Located},
    exhibits=(
        Exhibit(
            order=3,
            name="Stability",
            title="Is it the same circuit in other words?",
            question="How many cells do circuits share that were located with other pairs, or on other templates?",
            definition="""
The different cells of a circuit, wherever they stand. Shared: those of both, as a share of those of either. The ranges in
brackets are the smallest and the largest of all templates, or pairs of templates: no intervals.""",
            conclude="""
Cells in common say that a circuit is not one of the very words. Templates that differ in what has to be carried from
where may well have circuits of their own.""",
            applies=_applies,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            charts=_charts,
        ),
    ),
)
