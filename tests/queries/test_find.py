"""Cells that are found, against a loop over all triggers."""

import re
import sys
from collections.abc import Callable, Iterator

import pytest

from ffmem import Index, InputError
from ffmem.queries import find
from tests.queries.loops import every_cell, some_promoted

FAMILIES = ("gpt2", "llama")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("few", "within"), [(0, "prefix"), (2000, "auto"), (0, "sentence")])
def test_find_equals_a_loop_over_all_triggers(
    family: str, few: int, within: str, index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both ways of looking triggers up, and of counting them."""
    monkeypatch.setattr(sys.modules["ffmem.queries.mark_bits"], "MOST_RUNS", few)
    monkeypatch.setattr(sys.modules["ffmem.queries.compiled"], "COMPILED_FROM", 0 if within == "prefix" else 10**9)
    index = index_of(family)
    token = some_promoted(index)
    asked = [
        {"trigger": "silver"},
        {"trigger": "/[Ss]ilver.* the/", "layer": "1:"},
        {"fires_on": " the"},
        {"trigger": "silver", "next_token": " the"},
        {"promotes": token},
        {"promotes": token, "trigger": "the"},
        {"promotes": token, "fires_on": " the", "max_active": 0.5, "min_active": 0.2},
        {"min_active": 0.55},
    ]
    n_found = 0
    for conditions in asked:
        found = find(index, limit=10_000, n_triggers=100, within=within, **conditions)  # type: ignore[arg-type]
        expected = dict(matching(index, whole=within == "sentence", **conditions))  # type: ignore[arg-type]
        assert {(str(row.cell), row.sign): [one.rank for one in row.triggers] for row in found.rows} == expected
        assert found.n_found == len(expected)
        assert [row.n_triggers for row in found.rows] == [len(row.triggers) for row in found.rows]
        n_found += len(expected) > 0
    assert n_found >= 5


def matching(
    index: Index,
    trigger: str | None = None,
    fires_on: str | None = None,
    next_token: str | None = None,
    promotes: str | None = None,
    layer: str | None = None,
    min_active: float = 0,
    max_active: float = 1,
    whole: bool = False,
) -> Iterator[tuple[tuple[str, int], list[int]]]:
    for cell in every_cell(index):
        if layer is not None and index.cells.place(cell.cell)[0] < int(layer[:-1]):
            continue
        for sign in (1, -1)[: index.n_signs]:
            about_triggers = trigger or fires_on or next_token
            words = {"/[Ss]ilver.* the/": ("ilver", " the")}.get(trigger or "", (trigger or "",))
            ranks = [
                one.rank
                for one in cell.triggers
                if about_triggers and one.sign == sign and fires_on in (None, one.tokens[one.position])
                and next_token in (None, one.next_token)
                for text in [one.text if whole else one.text.encode()[: one.span[1]].decode()]
                if (len(words) == 1 or -1 < text.find("ilver") < text.rfind(" the"))
                and (len(words) > 1 or any(m.end() <= len(text) for m in re.finditer(rf"\b{words[0]}\b", one.text, re.I)))
            ]  # fmt: skip
            tokens = [one.token for one in (cell.promoted if sign == 1 else cell.suppressed)]
            active = min_active <= cell.statistics.active_fraction <= max_active
            if (ranks or not about_triggers) and (promotes is None or promotes in tokens) and active:
                yield (str(cell.cell), sign), ranks


def test_find_sorts_and_wants_a_condition(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    rows = find(index, trigger="the", sort="triggers", limit=50).rows
    assert [row.n_triggers for row in rows] == sorted((row.n_triggers for row in rows), reverse=True)
    rows = find(index, trigger="the", sort="active", limit=50).rows
    assert [row.active_fraction for row in rows] == sorted((row.active_fraction for row in rows), reverse=True)
    token = some_promoted(index)
    by_rank = [(row.rank, -(row.logit or 0)) for row in find(index, promotes=token).rows]
    assert by_rank == sorted(by_rank) and len(by_rank) > 2
    with pytest.raises(InputError, match="no condition is given to find cells by"):
        find(index)
    layer = find(index, layer="1", limit=1000)  # a layer alone is a condition
    assert [str(row.cell) for row in layer.rows] == [f"L1.{i}" for i in range(48)] and layer.n_found == 48
