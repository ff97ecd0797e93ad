"""Detectors against the definition, cell by cell, and planted ones."""

import numpy as np

from ffmem.analyses.sparsity.labels import LEAST, detectors, labels_of


def by_definition(active: np.ndarray, label: np.ndarray) -> bool:
    """Of one cell, as Voita et al. have it."""
    n = int(active.sum())
    hits = []
    for one in set(label.tolist()) - {-1}:
        at = label == one
        if active[at].sum() >= 0.95 * at.sum():
            hits.append(int(active[at].sum()))
    return n >= LEAST and sum(sorted(hits, reverse=True)[:5]) >= 0.95 * n


def test_they_are_what_the_definition_says() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(-1, 12, 2000)
    columns = [rng.random(2000) < share for share in (0, 0.003, 0.5, 1)]
    for n_labels in (1, 3, 5, 6):
        for noise in (0, 0.002, 0.02):
            own = np.isin(label, rng.permutation(12)[:n_labels])
            columns += [own, own ^ (rng.random(2000) < noise), own & (rng.random(2000) > noise)]
    active = np.stack(columns, 1).astype(np.uint8)
    found = detectors(active, labels_of(label))
    expected = [by_definition(one, label) for one in active.T]
    assert found.found.tolist() == expected and 5 < sum(expected) < len(expected) - 5
    assert found.judged.tolist() == [int(one.sum()) >= LEAST for one in active.T]


def test_a_cell_of_one_token_is_its_detector_and_no_other_is() -> None:
    label = np.random.default_rng(1).integers(0, 50, 5000)
    active = np.stack([label == 7, np.zeros(5000), np.ones(5000), (label == 7) | (label == 9)], 1).astype(np.uint8)
    active[np.flatnonzero(label == 9)[0], 3] = 1
    found = detectors(active, labels_of(label))
    assert found.found.tolist() == [True, False, False, True]
    n_seven, n_nine = int((label == 7).sum()), int((label == 9).sum())
    assert found.best.tolist() == [7, -1, -1, 7 if n_seven >= n_nine else 9]
    mixed = detectors(active, labels_of(np.random.default_rng(2).permutation(label)))
    assert not mixed.found.any()


def test_positions_without_a_label_are_at_no_label() -> None:
    label = np.array([-1] * 30 + [4] * 30)
    active = np.stack([label == -1, label == 4], 1).astype(np.uint8)
    assert detectors(active, labels_of(label)).found.tolist() == [False, True]
