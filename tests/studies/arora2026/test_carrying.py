"""Curves that are written by hand: what is told of them, and what is claimed."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.analyses.circuit.curves import Curve
from ffmem.studies.arora2026.carrying import CHAPTER, common_sizes, curves_of, size_of
from ffmem.studies.arora2026.findings import Curves
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged

(CARRYING,) = CHAPTER.exhibits
SIZES = (0, 1, 10, 48)


def made(findings: Findings, relp: tuple[float, ...], rival: tuple[float, ...], outside: float) -> Findings:
    """Forty prompts with F between 3.9 and 4.1, of which a rule's circuits keep these shares."""
    rng = np.random.default_rng(0)
    whole = rng.uniform(3.9, 4.1, 40)

    def curve(rule: str, shares: tuple[float, ...]) -> Curve:
        noise = rng.normal(0, 0.01, (2, len(shares), 40))
        noise[:, 0], noise[:, -1] = 0, 0
        kept = np.array(shares)[:, None] * whole + noise[0]
        without = np.array([1.0, *[outside] * (len(shares) - 2), 0.0])[:, None] * whole + noise[1]
        return Curve(
            rule,
            SIZES,
            SIZES,
            tuple(map(tuple, kept.tolist())),
            tuple(map(tuple, without.tolist())),
            tuple(whole.tolist()),
        )

    some = Curves(
        tuple(
            curve(rule, relp if rule == "relp" else rival)
            for rule in ("relp", "ig", "gradient", "activation", "random")
        )
    )
    n = sum(name.startswith("curves-") for name in findings.values)
    return replace(findings, values={**findings.values, **{f"curves-{number}": some for number in range(n)}})


def test_a_circuit_that_carries_is_told_from_one_that_does_not(circuit_findings: Findings) -> None:
    carries = made(circuit_findings, (0.0, 0.5, 0.95, 1.0), (0.0, 0.1, 0.3, 1.0), 0.05)
    verdicts = [one.verdict for one in judged([tuple(CARRYING.claims(carries))])[0]]
    assert verdicts == ["shown"] * 6
    assert "Relevance needs 10 of about" in CARRYING.reading(carries)
    numbers = {one.quantity: one for one in CARRYING.numbers(carries)}
    assert numbers["faithfulness of 10 nodes by relevance"].ours == pytest.approx(0.95, abs=0.01)
    assert numbers["nodes for 80% by relevance"].ours == 10 and "nodes for 80% by |m||v|" not in numbers
    not_so = made(circuit_findings, (0.0, 0.1, 0.3, 1.0), (0.0, 0.5, 0.95, 1.0), 0.7)
    assert [one.verdict for one in judged([tuple(CARRYING.claims(not_so))])[0]] == ["contradicted"] * 6
    assert "only all cells do" in CARRYING.reading(not_so)


def test_the_same_for_all_is_undecided_between_rules(circuit_findings: Findings) -> None:
    same = made(circuit_findings, (0.0, 0.5, 0.95, 1.0), (0.0, 0.5, 0.95, 1.0), 0.05)
    verdicts = [one.verdict for one in judged([tuple(CARRYING.claims(same))])[0]]
    assert verdicts[:2] == ["shown", "shown"] and set(verdicts[2:]) == {"undecided"}


def test_what_was_measured_is_drawn(circuit_findings: Findings) -> None:
    relp = curves_of(circuit_findings, "relp")
    assert size_of(circuit_findings) == 10 and common_sizes(relp) == [0, 1, 2, 5, 10, 20, 50]
    for one in relp:
        assert one.kept[-1] == pytest.approx(one.whole, abs=1e-5) and one.without[-1] == one.none
        assert one.without[0] == pytest.approx(one.whole, abs=1e-5)
    faithful, complete = CARRYING.charts(circuit_findings)
    assert {row["series"] for row in faithful.rows} == {row["series"] for row in complete.rows}
    assert len(faithful.rows) == 5 * 6 and {row["middle"] for row in faithful.rows} == {1, 2, 5, 10, 20, 50}
