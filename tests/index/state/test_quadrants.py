"""Coefficients by the signs of gate and up branch: against plain loops over hand-made numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ffmem.ids import LayerCells
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.quadrants import QuadrantAccumulator, keeps_sign, magnitudes
from ffmem.index.state.states import merged_layers
from ffmem.options import PerSentence

SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
N_EXPERTS, N_CELLS, WIDTH = 2, 3, 5


def places(lengths: list[int], first_token: int, first_position: int) -> Places:
    tokens = np.arange(first_token, first_token + len(lengths) * WIDTH).reshape(len(lengths), WIDTH)
    return Places(first_position, np.array(lengths, dtype=np.int64), tokens)


def by_hand(gate: float, up: float) -> tuple[float, int | None]:
    """The coefficient of a leaky gate, and its quadrant; few values, so that many are equal, and some are 0."""
    m = (gate if gate > 0 else gate * 0.25) * up
    return m, None if m == 0 else SIGNS.index((1 if gate > 0 else -1, 1 if up > 0 else -1))


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("per_sentence", ["1", "all"])
def test_each_quadrant_holds_what_a_loop_over_all_positions_finds(
    per_sentence: PerSentence, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    top, first_position = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2))
    shape = Shape((LayerCells(0, N_CELLS), LayerCells(1, N_CELLS, N_EXPERTS)), 2, top, per_sentence, quadrants=True)
    one, shards = QuadrantAccumulator(shape), [QuadrantAccumulator(shape) for _ in range(2)]
    found: dict[tuple[int, int, int], list[list[tuple[float, int]]]] = {}  # layer, cell, quadrant: a list a sentence
    for shard, part in enumerate(shards):
        for accumulator in (one, part):
            accumulator.begin_shard()
        lengths = sorted(rng.integers(0, WIDTH + 1, size=3).tolist(), reverse=True)
        there = places(lengths, 100 - 50 * shard, first_position)
        for layer, expert in ((0, 0), (1, 0), (1, 1)):
            gate, up = rng.integers(-3, 4, size=(2, 3, first_position + WIDTH, N_CELLS)).astype(np.float32)
            m = np.where(gate > 0, gate, gate * np.float32(0.25)) * up
            for accumulator in (one, part):
                accumulator.observe(layer, torch.from_numpy(m), there, expert, torch.from_numpy(gate > 0))
            for sentence, cell in np.ndindex(3, N_CELLS):
                rows: list[list[tuple[float, int]]] = [[], [], [], []]
                for position in range(lengths[sentence]):
                    at = sentence, first_position + position, cell
                    value, quadrant = by_hand(float(gate[at]), float(up[at]))
                    if quadrant is not None:
                        rows[quadrant].append((abs(value), int(there.tokens[sentence, position])))
                for quadrant, row in enumerate(rows):
                    found.setdefault((layer, expert * N_CELLS + cell, quadrant), []).append(row)
        one.close_shard(shard, "here")
    for (layer, cell, quadrant), sentences in found.items():
        state = one.layer(layer)
        everything = [value for row in sentences for value, _ in row]
        assert state["quadrant_n_active"][quadrant, cell] == len(everything)
        assert exact(state["quadrant_sum"][:, quadrant, cell]) == sum(everything)
        assert exact(state["quadrant_square_sum"][:, quadrant, cell]) == sum(value * value for value in everything)
        assert state["quadrant_maximum"][quadrant, cell] == max(everything, default=0)
        # of a sentence all positions, or the first of the largest
        chosen = [
            sorted(row, key=lambda one: (-one[0], one[1]))[: None if per_sentence == "all" else 1] for row in sentences
        ]
        best = sorted((one for row in chosen for one in row), key=lambda one: (-one[0], one[1]))[:top]
        keys = [key for key in state["quadrant_keys"][quadrant, cell].tolist() if key]
        assert [(float(np.int32(key >> 32).view(np.float32)), 2**32 - 1 - (key & (2**32 - 1))) for key in keys] == best


def exact(parts: np.ndarray) -> float:
    return float(parts[0]) + float(parts[1]) * 2.0**-40


def observed(accumulator: QuadrantAccumulator, shard: int) -> QuadrantAccumulator:
    rng = torch.Generator().manual_seed(shard)
    accumulator.begin_shard()
    for layer in range(2):
        m, gate = torch.randn(2, 4, WIDTH, N_CELLS, generator=rng)
        accumulator.observe(layer, m, places([5, 4, 2, 0], 1000 * shard, 0), 0, gate > 0)
    accumulator.close_shard(shard, "here")
    return accumulator


def test_states_join_and_come_back_to_the_byte(tmp_path: Path) -> None:
    shape = Shape((LayerCells(0, N_CELLS), LayerCells(1, N_CELLS, N_EXPERTS)), 2, 3, "1", quadrants=True)
    both = observed(observed(QuadrantAccumulator(shape), 0), 1)
    paths = []
    for shard in (1, 0):
        paths.append(tmp_path / f"state-{shard}")
        paths[-1].write_bytes(observed(QuadrantAccumulator(shape), shard).dump("job"))
    for layer, merged in enumerate(merged_layers(paths, shape)):
        expected = both.layer(layer)
        assert merged.keys() == expected.keys() and "quadrant_keys" in merged
        assert all(np.array_equal(merged[name], array) for name, array in expected.items())
    resumed = QuadrantAccumulator(shape)
    resumed.load(paths[0].read_bytes())
    assert observed(resumed, 0).dump("job") == both.dump("job")


def test_what_is_not_finite_is_told_with_its_cell() -> None:
    shape = Shape((LayerCells(0, N_CELLS), LayerCells(1, N_CELLS)), 2, 3, "1", quadrants=True)
    accumulator = QuadrantAccumulator(shape)
    accumulator.begin_shard()
    m = torch.ones(1, WIDTH, N_CELLS)
    m[0, 2, 1] = torch.inf
    accumulator.observe(1, m, places([5], 0, 0), 0, m > 2)
    assert accumulator.first_not_finite() == (1, 1)


def test_the_four_parts_make_the_whole_again() -> None:
    m = torch.tensor([2.0, -3.0, 4.0, -5.0, 0.0, -0.0])
    parts = list(magnitudes(m, torch.tensor([True, True, False, False, True, False])))
    # positive with an open gate: up is positive; negative with a closed gate: up is positive, too
    assert [part.tolist() for part in parts] == [
        [2, 0, 0, 0, 0, 0],
        [0, 3, 0, 0, 0, 0],
        [0, 0, 0, 5, 0, 0],
        [0, 0, 4, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("activation", "keeps"),
    [(nn.SiLU(), True), (nn.GELU(), True), (nn.GELU("tanh"), True), (nn.ReLU(), True), (nn.Sigmoid(), False),
     (nn.Softplus(), False), (lambda x: -x, False)],
)  # fmt: skip
def test_an_activation_that_turns_the_sign_is_told(activation: Any, keeps: bool) -> None:
    assert keeps_sign(activation) == keeps
