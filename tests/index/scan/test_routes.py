"""Which positions an expert sees, against a loop over them."""

import numpy as np
import pytest

from ffmem.index.scan.routes import Routes
from ffmem.index.state.places import Places


@pytest.mark.parametrize("first_position", [0, 1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_rows_and_tokens_are_those_of_the_positions_that_compete(first_position: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_sentences, longest, width = 5, 7, 10
    lengths = np.sort(rng.integers(0, longest + 1, n_sentences))[::-1].astype(np.int64)
    tokens = rng.integers(100, 999, (n_sentences, longest))
    routes = Routes(Places(first_position, lengths, tokens), width)
    positions = np.flatnonzero(rng.random(n_sentences * width) < 0.5)
    rows, places = routes.of(positions)
    expected = []
    for sentence in range(n_sentences):
        seen = []
        for row, position in enumerate(positions.tolist()):
            column = position - sentence * width - first_position
            if position // width == sentence and 0 <= column < lengths[sentence]:
                seen.append((row, int(tokens[sentence, column])))
        if seen:
            expected.append(seen)
    expected.sort(key=len, reverse=True)
    assert places.first_position == 0 and places.lengths.tolist() == [len(seen) for seen in expected]
    for number, seen in enumerate(expected):
        n = len(seen)
        assert list(zip(rows[number, :n].tolist(), places.tokens[number, :n].tolist(), strict=True)) == seen


def test_an_expert_that_sees_nothing_that_competes_has_no_rows() -> None:
    routes = Routes(Places(1, np.array([2]), np.array([[7, 8]])), 4)
    rows, places = routes.of(np.array([0, 3]))
    assert rows.size == 0 and len(places.lengths) == 0
