"""Bars of a histogram against the slow way: every stored trigger looked for by hand."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.queries.bars import bars, densities
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_bars_hold_every_sentence_and_every_stored_trigger(index_of: Callable[[str], Index], family: str) -> None:
    index = index_of(family)
    for row in range(12):
        cell = index.cell(index.cells.cell_id(1, row))
        for sign in (1, -1)[: index.n_signs]:
            found = bars(index, cell, sign)
            counts = cell.statistics.histogram[0 if sign > 0 else 1]
            filled = [n for n in counts if n]
            assert [one.n for one in found if one.n] == filled and sum(one.n for one in found) == sum(counts)
            assert found[0].n and found[-1].n
            assert [one.height for one in found] == pytest.approx(
                [math.log(1 + one.n) / math.log(1 + max(counts)) for one in found]
            )
            sizes = [abs(one.coefficient) for one in cell.triggers if one.sign == sign]
            for one in found:
                low, high = (-math.inf if one.low is None else one.low), (math.inf if one.high is None else one.high)
                assert one.n_triggers == sum(low <= size < high for size in sizes)


def test_a_cell_without_sentences_has_no_bars(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    cell = index.cell(index.cells.cell_id(0, 0))
    empty = tuple(tuple(0 for _ in row) for row in cell.statistics.histogram)
    nothing = type(cell.statistics)(**(cell.statistics.__dict__ | {"histogram": empty}))
    assert bars(index, type(cell)(**(cell.__dict__ | {"statistics": nothing})), 1) == ()


@pytest.mark.parametrize("gated", [False, True])
def test_positions_are_counted_by_size_and_the_rest_is_silent(tmp_path: Path, gated: bool) -> None:
    table = np.round(np.random.default_rng(1).normal(0, 1, (300, 3)), 3)
    table[:, 2] = -1.5
    words = [[f"w{i}" for i in range(first, first + 5)] for first in range(0, 300, 5)]
    index = make_index(tmp_path / "i", [Document(words)], [Layer(table)], sample=2, gated=gated, top=4)
    for number in range(3):
        cell = index.cell(f"L0.{number}")
        for sign in (1, -1)[: 1 + gated]:
            sizes = sign * table[:, number].astype(np.float32)
            found = {one.of: one for one in densities(index, cell, sign)}
            assert set(found) == ({"positions", "sentences"} if (sizes > 0).any() else {"sentences"})
            for bar in found["positions"].bars if "positions" in found else ():
                low, high = bar.low or 0.0, bar.high
                assert high is not None
                is_last = bar is found["positions"].bars[-1]
                assert bar.n == sum(max(low, 1e-9) <= one and (one <= high if is_last else one < high) for one in sizes)
                assert bar.share == pytest.approx(bar.n / max(one.n for one in found["positions"].bars))
            if "positions" in found:
                one = found["positions"]
                assert (one.n, one.n_silent) == (300, int((sizes <= 0).sum()))
                stored = [abs(t.coefficient) for t in cell.triggers if t.sign == sign]
                assert one.threshold == (pytest.approx(stored[-1]) if len(stored) == 4 else None)
                assert sum(bar.n_triggers for bar in one.bars) == len(stored)


def test_axes_are_numbered_and_the_threshold_lies_in_its_bar(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    for row in range(12):
        cell = index.cell(index.cells.cell_id(1, row))
        for one in densities(index, cell, 1):
            ticks = [*one.counts, *one.linear_counts, *one.sizes]
            assert all(0 <= tick.at <= 1 for tick in ticks) and one.counts[0].text == one.linear_counts[0].text == "0"
            for tick in one.linear_counts:
                assert tick.at * max(bar.n for bar in one.bars) == pytest.approx(int(tick.text.replace(",", "")))
            assert 2 <= len(one.linear_counts) <= 6 and len(one.sizes) <= 11
            if one.threshold_at is not None and one.threshold is not None:
                bar = one.bars[min(int(one.threshold_at * len(one.bars)), len(one.bars) - 1)]
                assert (bar.low or 0) <= one.threshold <= (math.inf if bar.high is None else bar.high)
