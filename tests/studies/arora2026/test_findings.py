"""What is told of a study that is not finished: nothing that is made of what is missing."""

from dataclasses import replace

from ffmem.studies.arora2026.findings import CELLS, CURVES, SINGLE, Curves, all_of, has_all, sample_of, task_of
from ffmem.studies.results import Findings


def test_an_exhibit_waits_for_all_templates(circuit_findings: Findings) -> None:
    assert all(has_all(circuit_findings, one) for one in (CURVES, SINGLE, CELLS))
    less = {name: one for name, one in circuit_findings.values.items() if name != "curves-0"}
    assert not has_all(replace(circuit_findings, values=less), CURVES)
    assert not has_all(replace(circuit_findings, values={}), CURVES)


def test_templates_come_in_their_order_and_are_counted(circuit_findings: Findings) -> None:
    n = len(task_of(circuit_findings).templates)
    assert len(all_of(circuit_findings, CURVES, Curves)) == n
    made = {f"curves-{number}": Curves(()) for number in (10, 2, 0)}
    some = replace(
        circuit_findings, values=made | {"curves-1": Curves((all_of(circuit_findings, CURVES, Curves)[0].curves[0],))}
    )
    assert [len(one.curves) for one in all_of(some, CURVES, Curves)] == [0, 1, 0, 0]
    assert sample_of(circuit_findings).startswith(f"{n} templates, ")
    first = all_of(circuit_findings, CURVES, Curves)[0]
    assert first.of("relp") is not None and first.of("nothing") is None
