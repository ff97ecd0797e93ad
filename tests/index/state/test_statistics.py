"""Running statistics against numpy over everything at once."""

import numpy as np
import pytest
import torch

from ffmem.index.state.statistics import ExactSum, LayerStatistics, histogram_bins
from ffmem.store.arrays import total_of
from ffmem.store.histogram import N_BINS, histogram_edges


@pytest.mark.parametrize("shapes", [[(3, 5), (1, 1), (40, 7)], [(2, 1000)], [(200, 1), (1, 200)]])
@pytest.mark.parametrize("strided", [False, True])
def test_equal_numpy_over_everything(shapes: list[tuple[int, int]], strided: bool) -> None:
    n_cells = 300
    rng = np.random.default_rng(0)
    statistics = LayerStatistics(n_cells, n_signs=2)
    blocks, maxima, minima = [], [], []
    for n, length in shapes:
        padded = torch.from_numpy(rng.normal(size=(n, length + 2, n_cells)).astype(np.float32))
        block = padded[:, 1 : length + 1] if strided else padded[:, 1 : length + 1].contiguous()
        high, low = statistics.update(block)
        assert torch.equal(high, block.amax(1)) and torch.equal(low, block.amin(1))
        blocks.append(block.reshape(-1, n_cells).numpy().astype(np.float64))
        maxima.append(high.numpy())
        minima.append(low.numpy())
        statistics.close_shard()
    everything, best, worst = np.concatenate(blocks), np.concatenate(maxima), np.concatenate(minima)
    assert statistics.n_tokens == len(everything) and statistics.n_sentences == len(best)
    np.testing.assert_allclose(total_of(statistics.sum.parts.numpy()), everything.sum(0), atol=1e-3)
    np.testing.assert_allclose(total_of(statistics.square_sum.parts.numpy()), (everything**2).sum(0), rtol=1e-5)
    assert (statistics.n_active.numpy() == (everything > 0).sum(0)).all()
    assert (statistics.n_active_sentences.numpy() == (best > 0).sum(0)).all()
    assert (statistics.maximum.numpy() == everything.max(0).astype(np.float32)).all()
    assert (statistics.minimum.numpy() == everything.min(0).astype(np.float32)).all()
    edges = histogram_edges()
    for sign, extremes in enumerate((best, -worst)):
        counted = statistics.histogram[sign].T.numpy()
        for cell in range(0, n_cells, 37):
            assert (counted[cell] == np.histogram(extremes[:, cell], bins=edges)[0]).all()


def test_bins_agree_with_their_edges_at_every_edge() -> None:
    edges = histogram_edges()
    inner = torch.from_numpy(edges[1:-1].astype(np.float32))
    assert histogram_bins(inner).tolist() == list(range(1, N_BINS))
    assert histogram_bins(torch.nextafter(inner, torch.zeros(()))).tolist() == list(range(N_BINS - 1))
    assert histogram_bins(torch.tensor([-5.0, -0.0, 0.0, 1e-45, 3e38])).tolist() == [0, 0, 0, 0, N_BINS - 1]


def test_sums_do_not_depend_on_how_shards_are_grouped() -> None:
    rng = np.random.default_rng(1)
    values = torch.from_numpy(rng.normal(size=(50, 20)) * 10.0 ** rng.integers(-6, 9, size=(50, 20)))
    forward, backward, halves = ExactSum(20), ExactSum(20), (ExactSum(20), ExactSum(20))
    for i in range(50):
        forward.add(values[i])
        backward.add(values[49 - i])
        halves[i % 2].add(values[i])
    assert torch.equal(forward.parts, backward.parts)
    assert torch.equal(forward.parts, halves[0].parts + halves[1].parts)
    np.testing.assert_allclose(total_of(forward.parts.numpy()), values.numpy().sum(0), rtol=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_noticed(bad: float) -> None:
    statistics = LayerStatistics(4, n_signs=1)
    block = torch.ones(2, 3, 4)
    statistics.update(block)
    assert statistics.first_not_finite() is None
    block[1, 2, 3] = bad
    statistics.update(block)
    assert statistics.first_not_finite() == 3
