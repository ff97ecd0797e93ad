"""What `ffmem edit` prints of an edit."""

from dataclasses import replace

import pytest

from ffmem import render
from ffmem.analyses.editing.edit import EditReport, Effect, FactEffect, SideEffects
from ffmem.analyses.editing.side_effects import MovedCells
from ffmem.analyses.intervals import Estimate

SHARE = Estimate(0.25, 0.1, 0.5, 8)
REPORT = EditReport(
    model="tiny",
    method="rome",
    layers=("L3",),
    n_facts=1,
    effects=(Effect("prompt", 8, SHARE, Estimate(1.0, 0.9, 1.0, 8), SHARE, SHARE),),
    score=0.75,
    facts=(FactEffect("Lyon is in", " France", " Italy", 0.6, 0.1, 0.05, 0.8),),
    side=SideEffects(
        MovedCells(46080, 1536, 126.2, 1.2, 0.01, 0.07), 300, 5, Estimate(0.002, 0.001, 0.003, 300),
        Estimate(0.01, -0.02, 0.03, 295), Estimate(0.05, 0.01, 0.1, 300), 0.0025, 21403, 0.9775,
    ),
    cells=("L3.17",),
)  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        "tiny, rome of 1 fact: values of L3 change",
        "cells: L3.17",
        "25.0 %          100.0 %           25.0 %",
        "75.0 %",
        "'Italy': P 0.0500 -> 0.8000;  'France': P 0.6000 -> 0.1000",
        "over all 46,080 cells and 300 positions",
        "1,536 move; the change lies in 126 cells; the largest by 120.00 % of its length",
        "21,403 cells are active at more positions or fewer, by 0.2500 points",
        "97.75 % of the ten strongest positions",
        "0.002 (0.001 to 0.003) nats a position",
        "0.01 (-0.02 to 0.03) nats a token more",
        "another one at 5 (1 to 10) %",
        "written: one.patch",
    ],
)
def test_an_edit_in_words(told: str) -> None:
    assert told in render.edit(REPORT, "one.patch")


def test_what_is_not_measured_is_not_told() -> None:
    told = render.edit(replace(REPORT, side=None, effects=(), facts=(), n_facts=0, method="cell"), "one.patch")
    assert told == "tiny, cell: values of L3 change\ncells: L3.17\n\nwritten: one.patch"


def test_many_facts_are_cut() -> None:
    told = render.edit(replace(REPORT, facts=REPORT.facts * 25), "one.patch")
    assert told.count("Lyon is in") == 20 and "and 5 more facts: --json has all" in told
