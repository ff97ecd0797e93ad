"""What a cell tells of the position, of cells that tell all and of cells that tell nothing."""

import numpy as np
import pytest

from ffmem.analyses.sparsity.positional import INFORMATIVE, equal_lengths, position_information
from ffmem.analyses.sparsity.stretch import Stretch

N_POSITIONS = 8


def stretch(n_sentences: int) -> Stretch:
    """Sentences of 8 to 10 tokens, and short ones between them that cannot count."""
    lengths = np.where(np.arange(2 * n_sentences) % 2, 3, N_POSITIONS + np.arange(2 * n_sentences) % 3)
    tokens = tuple(np.zeros(int(n), dtype=np.int64) for n in lengths)
    return Stretch(tokens, np.zeros(len(lengths), dtype=np.int64), np.arange(len(lengths)))


def entropy(share: float) -> float:
    return float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def test_a_cell_that_is_a_function_of_the_position_tells_its_own_entropy() -> None:
    text = stretch(5000)
    active = np.stack([text.position == 0, text.position >= 4, text.position >= 0], 1).astype(np.uint8)
    where = equal_lengths(text, N_POSITIONS)
    assert where.rows.shape == (5000, N_POSITIONS)
    assert (text.position[where.rows] == np.arange(N_POSITIONS)).all()
    bias = (N_POSITIONS - 1) / (2 * 5000 * N_POSITIONS)
    found = position_information(active, where)
    assert found == pytest.approx([entropy(1 / 8) - bias, entropy(0.5) - bias, 0], abs=1e-12)
    assert (np.abs(position_information(active, where.shuffled(0))) < 0.002).all()


def test_the_bias_is_taken_off_of_cells_that_know_no_position() -> None:
    """50 sentences: without that, each would seem to tell 0.009 nats."""
    text, rng = stretch(50), np.random.default_rng(0)
    active = (rng.random((len(text), 3000)) < rng.uniform(0.2, 0.8, 3000)).astype(np.uint8)
    found = position_information(active, equal_lengths(text, N_POSITIONS))
    bias = (N_POSITIONS - 1) / (2 * 50 * N_POSITIONS)
    assert abs(found.mean()) < 0.05 * bias and (found > INFORMATIVE).sum() == 0


def test_without_sentences_nothing_is_known() -> None:
    text = stretch(3)
    assert np.isnan(position_information(np.ones((len(text), 2), dtype=np.uint8), equal_lengths(text, 50))).all()
