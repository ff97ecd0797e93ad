"""The guided classifier on planted documents, and maps against single passes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ffmem import load_model
from ffmem.analyses.diagnostics.guide import Labelled, accuracies, commonest_right, guide_maps, right_of
from ffmem.analyses.diagnostics.maps import maps_of


def planted(n: int = 300) -> tuple[Labelled, np.ndarray]:
    """The token at one place of each document says its label; the others are noise from the same tokens."""
    rng = np.random.default_rng(0)
    tokens, labels, place = rng.integers(10, 40, (n, 8)), rng.integers(0, 3, n), rng.integers(0, 8, n)
    tokens[np.arange(n), place] = 10 + labels
    map_of = np.full((n, 8), 0.01)
    map_of[np.arange(n), place] = 0.93
    return Labelled(tokens, labels, np.arange(n) >= 200), map_of


def test_a_map_of_where_the_label_stands_guides_better_than_none() -> None:
    data, good = planted()
    bad = np.roll(good, 1, axis=1)
    found = accuracies(
        data,
        {"uniform": lambda _: np.full_like(good, 1 / 8), "weights": lambda _: good, "permuted": lambda _: bad},
        (0, 1),
    )
    uniform, guided, wrong = found.mean((1, 2))
    assert found.shape == (3, 2, 100) and guided > 0.95 > uniform + 0.1 > wrong
    assert np.array_equal(right_of(data, good, 1), found[1, 1].astype(bool))  # its seed decides all


def test_labels_of_the_test_have_no_part_in_it() -> None:
    data, good = planted()
    other = Labelled(data.tokens, np.where(data.test, (data.labels + 1) % 3, data.labels), data.test)
    right, wrong = right_of(data, good, 0), right_of(other, good, 0)
    assert right.mean() > 0.95 and wrong.mean() < 0.05
    commonest = np.bincount(data.labels[:200]).argmax()
    assert commonest_right(data).mean() == (data.labels[200:] == commonest).mean()


def test_a_learned_map_and_guides_made_of_others(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    documents = np.random.default_rng(0).integers(5, 40, (3, 6))
    before, _ = model.special_tokens("auto")
    done: list[int] = []
    maps = guide_maps(model, documents, before, done.append)
    for row, document in enumerate(documents):
        own = maps_of(model, torch.tensor([*before, *document]))
        mean = torch.stack([one.weights[:, -1].mean(0) for one in own.values()]).mean(0)[len(before) :]
        norms = torch.stack([one.norm_rows[:, -1].mean(0) for one in own.values()]).mean(0)[len(before) :]
        assert np.allclose(maps.weights[row], mean / mean.sum(), atol=1e-5)
        assert np.allclose(maps.norms[row], norms / norms.sum(), atol=1e-5)
    assert done[-1] == 3 and maps.of("learned", 0) is None
    without, permuted = maps.of("weights but for the first", 0), maps.of("permuted", 0)
    assert without is not None and (without[:, 0] == 0).all() and np.allclose(without.sum(1), 1)
    assert permuted is not None and np.allclose(np.sort(permuted, 1), np.sort(maps.weights, 1))
    uniform = maps.of("uniform", 0)
    assert uniform is not None and (uniform == 1 / 6).all()
    assert maps.of("norms", 0) is maps.norms and maps.of("weights", 0) is maps.weights
