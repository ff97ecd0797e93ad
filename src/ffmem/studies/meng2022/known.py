"""Which facts the model knows: only those can be changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.studies.exhibit import Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval
from ffmem.studies.meng2022.context import Meng2022
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener

EXPERIMENT = "facts"


@dataclass(frozen=True)
class AskedFact:
    """One fact, and what the model says."""

    prompt: str
    relation: str
    old: str
    new: str
    told: str
    """The model's first choice."""
    is_known: bool
    is_edited: bool


@dataclass(frozen=True)
class FactsResult:
    """All facts that are asked."""

    known: Estimate
    n_edited: int
    facts: tuple[AskedFact, ...]


def _run(study: Meng2022, _: StageListener) -> FactsResult:
    edited, known = {fact.prompt for fact in study.edited}, {fact.prompt for fact in study.known}
    facts = tuple(
        AskedFact(fact.prompt, fact.relation, fact.old, fact.new, told, fact.prompt in known, fact.prompt in edited)
        for fact, told in zip(study.facts, study.answers, strict=True)
    )
    return FactsResult(proportion(len(known), len(facts)), len(edited), facts)


def found_of(findings: Findings) -> FactsResult:
    """What was asked."""
    return findings.get(EXPERIMENT, FactsResult)


def is_there(findings: Findings) -> bool:
    """Whether it has been asked."""
    return EXPERIMENT in findings.values


def _reading(findings: Findings) -> str:
    found = found_of(findings)
    n = sum(one.is_known for one in found.facts)
    return f"Of {len(found.facts)} facts, {n} qualify ({interval(found.known)}); {found.n_edited} of them are changed here."


def _numbers(findings: Findings) -> Iterator[Number]:
    yield Number.of("facts whose old answer is the model's first choice", "-", found_of(findings).known)


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "prompt": one.prompt,
            "old": one.old,
            "the model says": one.told.strip(),
            "new": one.new,
            "changed here": "yes" if one.is_edited else "no",
        }
        for one in found_of(findings).facts
    ]
    yield Table("facts", "All facts that are asked", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=0,
    experiments=lambda _: [Experiment(EXPERIMENT, FactsResult, _run)],
    results={EXPERIMENT: FactsResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Facts",
            title="What the model knows",
            question="Of how many facts is the old answer what the model says?",
            definition="""
The most probable token behind a prompt is held against the old answer. Only facts where it is the answer, or its beginning, are
changed; they are drawn with the seed.""",
            conclude="""
A small model knows little: how well edits work is said of the facts that qualify, which are the easy ones.""",
            applies=is_there,
            reading=_reading,
            sample=lambda findings: f"{len(found_of(findings).facts)} facts; Wilson's interval",
            numbers=_numbers,
            tables=_tables,
        ),
    ),
)
