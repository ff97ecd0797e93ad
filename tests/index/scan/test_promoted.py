"""Promoted tokens against sorting the whole score matrix."""

import numpy as np
import pytest
import torch

from ffmem.index.scan.promoted import promoted_tokens
from ffmem.models.unembedding import LinearScores


def brute_force(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.stack([np.lexsort((np.arange(scores.shape[1]), -row))[:k] for row in scores])
    return ids, np.take_along_axis(scores, ids, axis=1)


@pytest.mark.parametrize("d_vocab", [7, 64, 1000, 4097])
@pytest.mark.parametrize("ties", [False, True])
def test_equal_sorting_everything(d_vocab: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(300, 16, generator=generator)
    matrix = torch.randn(d_vocab, 16, generator=generator)
    if ties:  # small whole numbers: products are exact, and equal scores are everywhere
        rows, matrix = rows.round(), matrix.round()
    found = promoted_tokens(rows, LinearScores(matrix), d_vocab, 50)
    # the product itself is not what is tested: its last bits depend on the number of rows
    scores = torch.cat([rows[i : i + 256] @ matrix.T for i in range(0, 300, 256)]).numpy()
    for ids, values, expected in (
        (found.promoted_ids, found.promoted_scores, brute_force(scores, 50)),
        (found.suppressed_ids, found.suppressed_scores, brute_force(-scores, 50)),
    ):
        assert (ids.numpy() == expected[0]).all()
        assert (np.abs(values.numpy()) == np.abs(expected[1])).all()
    assert found.promoted_ids.shape == (300, min(50, d_vocab))


def test_all_scores_equal_gives_the_smallest_ids() -> None:
    found = promoted_tokens(torch.zeros(2, 4), LinearScores(torch.randn(500, 4)), 500, 10)
    assert found.promoted_ids.tolist() == found.suppressed_ids.tolist() == [list(range(10))] * 2


def test_blocks_of_rows_are_told_as_they_are_done() -> None:
    told: list[int] = []
    promoted_tokens(torch.randn(600, 4), LinearScores(torch.randn(70, 4)), 70, 10, told.append)
    assert told == [256, 256, 88]
