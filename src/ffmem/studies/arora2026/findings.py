"""What the study finds, template by template, and what all exhibits say of how it was measured."""

from dataclasses import dataclass
from typing import TypeVar

from ffmem.analyses.circuit.curves import Curve
from ffmem.studies.results import Findings

Kind = TypeVar("Kind")
TASK = "task"
CURVES, SINGLE, CELLS = "curves-", "single-", "cells-"
"""What the names of experiments begin with; the number of a template follows."""


@dataclass(frozen=True)
class Template:
    """Pairs of one template."""

    name: str
    n: int
    """Pairs of the same length."""
    n_right: int
    """Of them, those that the model gets right."""
    n_located: int
    n_tested: int
    n_positions: int
    n_nodes: int
    """Candidates: every cell at every position."""
    prompt: str
    """Of the first pair."""
    counterfactual: str
    right: str
    wrong: str
    score: float
    """F of the tested prompts, their mean."""


@dataclass(frozen=True)
class Task:
    """What was read."""

    n: int
    n_unequal: int
    n_compared: int
    n_right: int
    n_cells: int
    """Of the model."""
    templates: tuple[Template, ...]


@dataclass(frozen=True)
class Curves:
    """The curves of one template, a rule each."""

    curves: tuple[Curve, ...]

    def of(self, rule: str) -> Curve | None:
        """That of one rule; None where the model cannot be asked."""
        return next((one for one in self.curves if one.rule == rule), None)


@dataclass(frozen=True)
class Single:
    """What single nodes of a template's circuit do, and what swapping the circuit does."""

    drops: tuple[float, ...]
    gains: tuple[float, ...]
    whole: tuple[float, ...]
    """Prompts: F as the model is."""
    swapped: tuple[float, ...]
    """Prompts: F with the circuit's cells as in the counterfactual."""
    swapped_random: tuple[float, ...]
    """With as many cells at random."""
    swapped_all: tuple[float, ...]
    """With all cells."""


@dataclass(frozen=True)
class Located:
    """The cells of a template's circuit, wherever they stand."""

    whole: tuple[tuple[int, int], ...]
    """Layer and row."""
    first: tuple[tuple[int, int], ...]
    """Located with the first half of the pairs alone."""
    second: tuple[tuple[int, int], ...]
    random: tuple[tuple[int, int], ...]
    """As many cells of the same layers."""


def task_of(findings: Findings) -> Task:
    """What was read."""
    return findings.get(TASK, Task)


def all_of(findings: Findings, beginning: str, kind: type[Kind]) -> list[Kind]:
    """What was found of each template, in their order."""
    names = [name for name in findings.values if name.startswith(beginning)]
    return [findings.get(name, kind) for name in sorted(names, key=lambda one: int(one.removeprefix(beginning)))]


def has_all(findings: Findings, beginning: str) -> bool:
    """Whether every template has what an exhibit is made of."""
    if TASK not in findings.values:
        return False
    n = len(task_of(findings).templates)
    return n > 0 and all(f"{beginning}{number}" in findings.values for number in range(n))


def sample_of(findings: Findings) -> str:
    """How much was measured, in words."""
    found = task_of(findings)
    located = sum(one.n_located for one in found.templates)
    tested = sum(one.n_tested for one in found.templates)
    return (
        f"{len(found.templates)} templates, {located:,} pairs to locate and {tested:,} to test; {found.n_cells:,} cells"
    )
