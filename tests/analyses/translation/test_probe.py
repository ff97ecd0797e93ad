"""A probe of a planted task: words under an unknown rotation, and one map in four that knows which word is next."""

import numpy as np
import pytest
import torch

from ffmem.analyses.translation.probe import IDENTITY, Head, Probe, _nearest, ranks, train
from ffmem.analyses.translation.rows import Rows, fixed_rows, mixed_rows, target_rows
from tests.analyses.translation.making import RIGHT, pairs_of
from tests.studies.alignment.copying import D_MODEL, SPECIAL, WORDS, copy_model

FIRST = len(SPECIAL)
MODEL = copy_model(0)
HEAD = Head(MODEL)
PLAIN = 4 * torch.eye(D_MODEL)[FIRST : FIRST + len(WORDS)]
"""The state of each word, as the head reads it."""
TURNED = PLAIN @ torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(5)))[0]
LEARN, TEST = (pairs_of(n, len(WORDS), TURNED, seed, FIRST) for n, seed in ((600, 0), (40, 1)))
LAST = target_rows(pairs_of(600, len(WORDS), PLAIN, 0, FIRST), 0)
TARGETS, TESTED = ([one.targets for one in some] for some in (LEARN, TEST))


def accuracy(rows: Rows, probe: Probe) -> float:
    return float((ranks(HEAD, rows, TESTED, probe) == 0).mean())


def test_the_matrix_and_the_map_are_found() -> None:
    probe = train(HEAD, mixed_rows(LEARN, 0), TARGETS, LAST, seed=0)
    assert probe.shares is not None and probe.shares.argmax() == RIGHT and float(probe.shares.sum()) == pytest.approx(1)
    assert accuracy(mixed_rows(TEST, 0), probe) > 0.95
    assert accuracy(target_rows(TEST, 0), Probe(probe.matrix, None)) == 1
    assert accuracy(target_rows(TEST, 0), IDENTITY) < 0.6
    uniform = train(HEAD, fixed_rows(LEARN, 0, "uniform"), TARGETS, LAST, seed=0)
    assert uniform.shares is None and accuracy(fixed_rows(TEST, 0, "uniform"), uniform) < 0.7
    assert all(one.grad is None for one in MODEL.module.parameters())  # the head stays frozen


def test_the_order_of_training_is_that_of_the_seed() -> None:
    found = [train(HEAD, target_rows(LEARN, 0), TARGETS, LAST, seed=seed).matrix for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])  # type: ignore[arg-type]


def test_it_begins_with_the_ridge_regression() -> None:
    x, y = target_rows(LEARN, 0).of(range(600)).double().numpy(), LAST.of(range(600)).double().numpy()
    weight = np.sqrt(1e-3 * (x**2).sum(0).mean())
    above = np.vstack([x, weight * np.eye(D_MODEL)])
    expected = np.linalg.lstsq(above, np.vstack([y, np.zeros((D_MODEL, D_MODEL))]), rcond=None)[0]
    assert np.allclose(_nearest(HEAD, target_rows(LEARN, 0), LAST, None, 600).numpy(), expected, atol=1e-4)


def test_ranks_are_those_of_sorted_scores() -> None:
    matrix = torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(1))
    found = ranks(HEAD, target_rows(TEST, 0), TESTED, Probe(matrix, None)).tolist()
    unembedding = MODEL.module.lm_head.weight.detach()
    expected = [
        sorted(range(len(unembedding)), key=lambda token, s=state: -float(unembedding[token] @ (s @ matrix))).index(
            word
        )
        for pair in TEST
        for state, word in zip(pair.target[0], pair.targets.tolist(), strict=True)
    ]
    assert found == expected


def test_steps_are_told() -> None:
    told: list[tuple[int, int]] = []
    train(HEAD, target_rows(LEARN, 0), TARGETS, LAST, seed=0, on_step=lambda *step: told.append(step))
    assert told == [(step, 19) for step in range(1, 20)]
