"""Positions of every strength, against all positions of a cell sorted by hand."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.queries.bands import PARTS, bands
from tests.fixtures.made_index import Document, Layer, make_index

_N = 600
_DICE = np.random.default_rng(3)
TABLE = np.round(_DICE.normal(0, 1, (_N, 4)), 3)
TABLE[:, 1] = np.maximum(TABLE[:, 1], 0)  # half silent
TABLE[:, 2] = 0
WORDS = [[f"w{token}" for token in range(first, first + 10)] for first in range(0, _N, 10)]


def made(folder: Path, sample: int, gated: bool = False) -> Index:
    return make_index(folder, [Document(WORDS)], [Layer(TABLE)], gated=gated, sample=sample)


@pytest.mark.parametrize("gated", [False, True])
def test_where_all_positions_are_drawn_parts_are_those_of_a_sort(tmp_path: Path, gated: bool) -> None:
    index = made(tmp_path / "i", _N, gated)
    for number in range(4):
        cell = index.cell(f"L0.{number}")
        for sign in (1, -1)[: 1 + gated]:
            firing = sorted(
                (
                    (-sign * value, token)
                    for token, value in enumerate(TABLE[:, number].astype(np.float32))
                    if sign * value > 0
                )
            )
            found = {one.name: one for one in bands(index, cell, sign, n_examples=_N)}
            if not firing:
                assert set(found) <= {"silent"}
                continue
            by_part = [one for one in found.values() if one.sign and not one.name.startswith("any")]
            for (first, end), band in zip(PARTS, by_part, strict=True):
                here = [one for i, one in enumerate(firing) if first <= (i + 0.5) / len(firing) < end]
                assert band.n_positions == pytest.approx(len(here)) and band.n_drawn == len(here)
                assert band.share == pytest.approx(len(here) / _N)
                told = [(-sign * one.coefficient, one.tokens[one.position]) for one in band.examples]
                assert told == [(size, f"w{token}") for size, token in here]
                assert (band.high, band.low) == (-sign * here[0][0], -sign * here[-1][0])
            whole = found["any firing position, at random"]
            assert (
                whole.n_positions
                == pytest.approx(len(firing))
                == pytest.approx(sum(one.n_positions for one in by_part))
            )
            if sign > 0:
                n_silent = int((TABLE[:, number] == 0).sum() if gated else (TABLE[:, number] <= 0).sum())
                assert found["silent"].n_positions == n_silent if n_silent else "silent" not in found


def test_a_few_drawn_ones_stand_for_all(tmp_path: Path) -> None:
    index = made(tmp_path / "i", 8)
    cell = index.cell("L0.0")
    parts = [one for one in bands(index, cell, 1) if one.sign]
    n_firing = int((TABLE[:, 0] > 0).sum())
    assert sum(one.n_positions for one in parts[:-1]) == pytest.approx(n_firing) == pytest.approx(parts[-1].n_positions)
    edges = np.sort(TABLE[:, 0][TABLE[:, 0] > 0])[::-1]
    for (first, _), band in zip(PARTS[1:], parts[1:-1], strict=False):
        true = edges[int(first * n_firing)]
        assert band.high == pytest.approx(true, rel=0.35)  # estimated from 8 of each half octave
    assert all(len(one.examples) <= 4 for one in parts) and bands(index, cell, 1) == bands(index, cell, 1)


def test_without_a_sample_there_are_none(tmp_path: Path) -> None:
    index = made(tmp_path / "i", 0)
    assert bands(index, index.cell("L0.0"), 1) == ()
