"""Statistics that stream, against the same over everything at once."""

import numpy as np
import pytest
import torch

from ffmem.analyses.correlation import binned_spearman, spearman
from ffmem.studies.kobayashi2020.streams import Dispersion, RankCorrelation


def test_dispersion_is_that_of_all_numbers() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.gamma(3.0, size=n) for n in (7, 100, 1)]
    found = Dispersion(2, n_blocks=3)
    for block, part in enumerate(parts):
        found.add(1, part, block)
    found.add(0, np.ones(3))
    whole = np.concatenate(parts)
    assert found.mean[1] == pytest.approx(whole.mean())
    assert found.variation().tolist() == pytest.approx([0.0, whole.std() / whole.mean()])
    assert (found.low[1], found.high[1]) == (whole.min(), whole.max())
    rest = np.concatenate([parts[0], parts[2]])
    assert found.variation(without=1)[1] == pytest.approx(rest.std() / rest.mean())


@pytest.mark.parametrize("causal", [True, False])
def test_counted_ranks_are_close_to_exact_ones(causal: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    category = torch.tensor([0, 1, 1, 2] * 8)
    found = RankCorrelation(3, 2)
    pairs: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {0: [], 1: [], 2: []}
    n = len(category)
    seen = torch.ones(n, n, dtype=torch.bool).tril() if causal else torch.ones(n, n, dtype=torch.bool)
    for block in (0, 0, 1):
        scores = torch.randn(4, n, n, generator=generator) * 2
        norms = torch.randn(4, n, generator=generator).exp()
        scores = scores - 0.7 * (category == 2) * norms[:, None].log()  # one category with a correlation
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        found.add(block, weights, norms, category, causal)
        for one, lists in pairs.items():
            chosen = seen & (category == one)
            lists.append((weights[:, chosen].flatten(), norms[:, None].expand(4, n, n)[:, chosen].flatten()))
    exact = {}
    for one, lists in pairs.items():
        left, right = (torch.cat(parts).numpy().astype(float) for parts in zip(*lists, strict=True))
        exact[one] = spearman(left, right)
        assert found.of(one) == pytest.approx(exact[one], abs=0.004)
        assert found.n_pairs(one) == len(left)
        left, right = (torch.cat(parts[:2]).numpy().astype(float) for parts in zip(*lists, strict=True))
        assert found.of(one, without=1) == pytest.approx(spearman(left, right), abs=0.004)
    assert exact[2] < -0.1 and abs(exact[0]) < 0.15


def test_counted_ranks_share_ties_as_ranks_do() -> None:
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, 5, 300), rng.integers(0, 7, 300)
    right = np.where(rng.random(300) < 0.5, left, right)
    counts = np.zeros((5, 7), np.int64)
    np.add.at(counts, (left, right), 1)
    assert binned_spearman(counts) == pytest.approx(spearman(left.astype(float), right.astype(float)))
    assert np.isnan(binned_spearman(np.zeros((2, 2), np.int64)))
    assert np.isnan(binned_spearman(np.array([[3, 4]])))
