"""What the task is, and how much of it the model can do: circuits are of what it gets right alone."""

from collections.abc import Iterator

from ffmem.analyses.circuit.kept_cells import Nodes
from ffmem.analyses.intervals import proportion
from ffmem.studies.arora2026.context import CircuitStudy
from ffmem.studies.arora2026.findings import TASK, Task, Template, sample_of, task_of
from ffmem.studies.exhibit import Exhibit, Number, Table
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener


def _run(shared: CircuitStudy, _: StageListener) -> Task:
    aligned, model = shared.aligned, shared.model
    templates = []
    for halves in shared.templates:
        group, pair = halves.located, halves.located.pairs[0]
        n, n_right = aligned.n_by_template[group.name]
        templates.append(
            Template(
                name=group.name,
                n=n,
                n_right=n_right,
                n_located=len(group),
                n_tested=len(halves.tested),
                n_positions=group.ids.shape[1],
                n_nodes=len(Nodes.of(model, group.ids.shape[1])),
                prompt=pair.prompt,
                counterfactual=pair.counterfactual,
                right=pair.right,
                wrong=pair.wrong,
                score=float(halves.tested.whole.mean()),
            )
        )
    n_compared = aligned.n - aligned.n_unequal
    return Task(
        n=aligned.n,
        n_unequal=aligned.n_unequal,
        n_compared=n_compared,
        n_right=n_compared - aligned.n_wrong,
        n_cells=model.cells.n_cells,
        templates=tuple(templates),
    )


def is_there(findings: Findings) -> bool:
    """Whether the task was read."""
    return TASK in findings.values


def _reading(findings: Findings) -> str:
    found = task_of(findings)
    left = f" {found.n_unequal:,} pairs are not of equal length and were left out." if found.n_unequal else ""
    return f"The model gets {found.n_right:,} of {found.n_compared:,} pairs right.{left}"


def _numbers(findings: Findings) -> Iterator[Number]:
    found = task_of(findings)
    yield Number.of("pairs that the model gets right", "-", proportion(found.n_right, found.n_compared))


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "template": one.name, "prompt": one.prompt, "counterfactual": one.counterfactual, "right": one.right,
            "wrong": one.wrong, "pairs": one.n, "gets right": one.n_right, "F": round(one.score, 3),
            "tokens": one.n_positions, "candidates": one.n_nodes,
        }
        for one in task_of(findings).templates
    ]  # fmt: skip
    yield Table(
        "templates", "Templates, each with its first pair; F is the mean over tested prompts.", tuple(rows[0]), rows
    )


CHAPTER: Chapter[CircuitStudy] = Chapter(
    order=0,
    experiments=lambda _: (Experiment(TASK, Task, _run),),
    results={TASK: Task},
    exhibits=(
        Exhibit(
            order=0,
            name="Task",
            title="What is asked, and can the model do it?",
            question="How often does the model give the right word a higher score than the wrong one?",
            definition="""
F is the logit of the right word less that of the wrong one. A pair is a prompt and a counterfactual of the same number of
tokens; words are single tokens of the model's vocabulary. What follows is measured on pairs with F above 0 alone.""",
            conclude="""
These sets are ffmem's own, made by rule; those of papers are others. A circuit found on them is one of these sentences.""",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            tables=_tables,
        ),
    ),
)
