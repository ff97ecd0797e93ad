"""Single cells and swaps, written by hand: what is told of them."""

from dataclasses import replace

import pytest

from ffmem.studies.arora2026.findings import Single
from ffmem.studies.arora2026.single import CHAPTER
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged

(SINGLE,) = CHAPTER.exhibits


def made(findings: Findings, drops: float, gains: float, swapped: float) -> Findings:
    spread = [0.97, 1.0, 1.03] * 8
    one = Single(
        drops=tuple(drops * x for x in spread),
        gains=tuple(gains * x for x in spread),
        whole=(2.0,) * 30,
        swapped=tuple([swapped] * 27 + [-swapped] * 3),
        swapped_random=tuple([1.9] * 28 + [-0.1] * 2),
        swapped_all=(-2.0,) * 30,
    )
    n = sum(name.startswith("single-") for name in findings.values)
    return replace(findings, values={**findings.values, **{f"single-{number}": one for number in range(n)}})


def test_cells_that_are_needed_and_decide(circuit_findings: Findings) -> None:
    found = made(circuit_findings, 0.05, 0.001, -1.0)
    assert [one.verdict for one in judged([tuple(SINGLE.claims(found))])[0]] == ["shown", "shown"]
    numbers = [one.ours for one in SINGLE.numbers(found)]
    assert numbers == pytest.approx([1.0, 0.0, 0.9, 2 / 30, 1.0])
    assert "90% of the prompts turn" in SINGLE.reading(found)


def test_cells_that_are_not(circuit_findings: Findings) -> None:
    found = made(circuit_findings, 0.001, -0.05, 1.9)
    verdicts = [one.verdict for one in judged([tuple(SINGLE.claims(found))])[0]]
    assert verdicts[1] == "contradicted" and verdicts[0] != "shown"


def test_what_was_measured(circuit_findings: Findings) -> None:
    numbers = list(SINGLE.numbers(circuit_findings))
    assert len(numbers) == 5 and all(0 <= one.ours <= 1 for one in numbers)
