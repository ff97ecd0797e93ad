"""Cells that circuits share, written by hand."""

from dataclasses import replace

import pytest

from ffmem.studies.arora2026.findings import Located, task_of
from ffmem.studies.arora2026.stability import CHAPTER
from ffmem.studies.results import Findings

(STABILITY,) = CHAPTER.exhibits


def test_what_is_shared_by_halves_and_by_templates(circuit_findings: Findings) -> None:
    task = task_of(circuit_findings)
    two = replace(task, templates=(task.templates[0], replace(task.templates[0], name="other")), n_cells=1000)
    cells = [(0, number) for number in range(20)]
    one = Located(tuple(cells[:10]), tuple(cells[:8]), tuple(cells[4:12]), tuple(cells[10:]))
    other = Located(tuple(cells[5:15]), tuple(cells[:4]), tuple(cells[:4]), tuple(cells[:10]))
    found = replace(circuit_findings, values={"task": two, "cells-0": one, "cells-1": other})
    assert STABILITY.applies(found)
    halves, chance, layers, between, between_chance = STABILITY.numbers(found)
    assert halves.ours == pytest.approx((4 / 12 + 1) / 2) and (halves.low, halves.high) == (4 / 12, 1.0)
    assert between.ours == pytest.approx(5 / 15) and layers.ours == pytest.approx((0 + 5 / 15) / 2)
    assert 0 < chance.ours < 0.01 and 0 < between_chance.ours < 0.01
    assert "share 66.7 % of their cells, two templates 33.3 %" in STABILITY.reading(found)
    (chart,) = STABILITY.charts(found)
    values = {(row["row"], row["column"]): row["label"] for row in chart.rows}
    name = task.templates[0].name
    assert values == {(name, name): "33", (name, "other"): "33", ("other", name): "33", ("other", "other"): "100"}


def test_of_one_template_nothing_is_shared_with_another(circuit_findings: Findings) -> None:
    one = replace(task_of(circuit_findings), templates=task_of(circuit_findings).templates[:1])
    values = {"task": one, "cells-0": circuit_findings.values["cells-0"]}
    numbers = list(STABILITY.numbers(replace(circuit_findings, values=values)))
    assert len(numbers) == 3
