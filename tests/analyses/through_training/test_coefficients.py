"""Correlations from streamed sums: against all numbers at once, and for cells that were scaled, swapped, killed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.intervals import N_RESAMPLES
from ffmem.analyses.through_training.coefficients import N_GROUPS, correlations, groups_of, mean_draws, paired_sums
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.analyses.updates.universal import coefficients_of, counterparts
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]


@pytest.fixture
def positions(training_of) -> Positions:  # type: ignore[no-untyped-def]
    index: Index = training_of("wikilm")[-1]
    return positions_of_text(index.text, 0, index.text.n_all_sentences, 250)


def changed(folder: Path, layer: int, change: Callable[[torch.nn.Module], None]) -> Transformer:
    model = load_model(folder)
    with torch.no_grad():
        change(model.module.model.layers[layer])
    return model


def rho(first: Transformer, second: Transformer, positions: Positions) -> list[np.ndarray]:
    groups, n = groups_of(positions.document)
    (sums,) = paired_sums([first, second], [(0, 1)], positions, groups, n, bos="auto")
    return [correlations(one.sum(0)) for one in sums]


def test_streamed_sums_are_those_of_all_numbers(training_of, positions: Positions) -> None:  # type: ignore[no-untyped-def]
    models = [load_model(index.manifest.identity.model.source) for index in training_of("wikilm")[-2:]]
    found = rho(*models, positions)
    whole = [coefficients_of(model, positions, None, bos="auto") for model in models]
    for layer, (left, right) in enumerate(zip(*whole, strict=True)):
        expected = (left * right).sum(1).numpy()  # both are of mean 0 and length 1
        varies = (left.norm(dim=1) > 0.5).numpy() & (right.norm(dim=1) > 0.5).numpy()
        assert found[layer][varies] == pytest.approx(expected[varies], abs=1e-5)
        assert np.isnan(found[layer][~varies]).all()
    assert np.nanmean(found[0]) < 0.999  # they did move


def test_a_scaled_cell_fires_alike_and_swapped_ones_do_not(tiny_folder: Folder, positions: Positions) -> None:
    folder = tiny_folder("wikilm")

    def scale(layer: torch.nn.Module) -> None:
        layer.fc1.weight[4] /= 2  # type: ignore[union-attr,operator,index]
        layer.fc1.bias[4] /= 2  # type: ignore[union-attr,operator,index]
        layer.fc2.weight[:, 4] *= 2  # type: ignore[union-attr,operator,index]

    def swap(layer: torch.nn.Module) -> None:
        order = [0, 1, 7, 3, 4, 5, 6, 2, *range(8, layer.fc1.bias.shape[0])]  # type: ignore[union-attr,operator,index]
        layer.fc1.weight[:] = layer.fc1.weight[order].clone()  # type: ignore[union-attr,operator,index]
        layer.fc1.bias[:] = layer.fc1.bias[order].clone()  # type: ignore[union-attr,operator,index]
        layer.fc2.weight[:] = layer.fc2.weight[:, order].clone()  # type: ignore[union-attr,operator,index]

    base = load_model(folder)
    for found in rho(base, changed(folder, 1, scale), positions):
        assert found[np.isfinite(found)] == pytest.approx(1, abs=1e-6)
    swapped = changed(folder, 1, swap)
    found = rho(base, swapped, positions)
    moved = np.flatnonzero(found[1] < 0.999).tolist()
    assert moved == [2, 7]
    for layer in (0, 2):  # what the layer as a whole writes is what it was
        assert found[layer][np.isfinite(found[layer])] == pytest.approx(1, abs=1e-5)
    cells = [np.arange(one.n_cells) for one in base.cells.layers]
    own, other = (coefficients_of(model, positions, None, bos="auto") for model in (base, swapped))
    matched = counterparts(own, cells, other, signs=False)[1]
    assert matched.best_cell[[2, 7]].tolist() == [7, 2] and (matched.best_layer[[2, 7]] == 1).all()


def test_orders_exchange_cells(tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder("wikilm"))
    sizes = [layer.n_cells for layer in model.cells.layers]
    plain, turned = [np.arange(n) for n in sizes], [np.roll(np.arange(n), 1) for n in sizes]
    groups, n_groups = groups_of(positions.document)
    (sums,) = paired_sums([model, model], [(0, 1)], positions, groups, n_groups, bos="auto", orders=[plain, turned])
    own = coefficients_of(model, positions, None, bos="auto")
    expected = (own[0] * own[0][turned[0]]).sum(1).numpy()
    found = correlations(sums[0].sum(0))
    known = np.isfinite(found)
    assert known.sum() > 4 and found[known] == pytest.approx(expected[known], abs=1e-5)


def test_a_cell_that_never_varies_has_none() -> None:
    sums = np.zeros((1, 6, 2))
    x, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.0, 3.0])
    for cell, pair in enumerate(((x, x * 2), (x, y))):
        sums[0, :, cell] = [3, pair[0].sum(), pair[1].sum(), *(pair[i] @ pair[j] for i, j in ((0, 0), (1, 1), (0, 1)))]
    assert correlations(sums[0])[0] == pytest.approx(1) and np.isnan(correlations(sums[0])[1])


def test_draws_take_whole_groups() -> None:
    """Two groups with correlations 1 and -1: a draw of one of them alone shows it."""
    x = np.array([-1.0, 0.0, 1.0])
    sums = np.array([[[3], [0], [0], [x @ x], [x @ x], [sign * (x @ x)]] for sign in (1.0, -1.0)])
    drawn = mean_draws(sums)
    assert len(drawn) == N_RESAMPLES and {*np.round(drawn, 6)} == {-1.0, 0.0, 1.0}
    assert (drawn == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_groups_are_of_whole_documents() -> None:
    documents = np.random.default_rng(0).integers(0, 500, 4000)
    groups, n = groups_of(documents)
    assert n == N_GROUPS and {*groups.tolist()} == set(range(N_GROUPS))
    assert all(len({*groups[documents == one].tolist()}) == 1 for one in range(500))
    few, n_few = groups_of(np.array([7, 9, 7]))
    assert n_few == 2 and few[0] == few[2] != few[1]
