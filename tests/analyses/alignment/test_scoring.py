"""The alignment error rate, against hand-made cases and the published outputs of two aligners."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.analyses.alignment.links import Links, all_sure, read_links
from ffmem.analyses.alignment.pairs import read_pairs
from ffmem.analyses.alignment.scoring import difference, score
from ffmem.analyses.intervals import N_RESAMPLES, Sums, ratios


def test_a_score_by_hand() -> None:
    gold = [Links(frozenset({(0, 0), (1, 1)}), frozenset({(0, 0), (1, 1), (1, 2)})), all_sure(frozenset({(5, 5)}))]
    found = score([frozenset({(0, 0), (1, 2), (2, 2)}), frozenset()], gold)
    assert (found.precision, found.recall, found.n_links) == (2 / 3, 1 / 3, 3)
    assert found.error_rate.value == pytest.approx(1 - (1 + 2) / (3 + 3))
    assert found.error_rate.low <= found.error_rate.value <= found.error_rate.high and found.error_rate.n == 2
    assert found.to_json()["aer"] == 0.5


def test_the_ends_of_the_scale() -> None:
    gold = [all_sure(frozenset({(0, 0), (1, 1)}))]
    assert score([frozenset({(0, 0), (1, 1)})], gold).error_rate.value == 0
    assert score([frozenset({(0, 1)})], gold).error_rate.value == 1
    none = score([frozenset()], [all_sure(frozenset())])
    assert np.isnan(none.error_rate.value) and np.isnan(none.precision) and np.isnan(none.recall)


def test_the_interval_is_that_of_redrawn_pairs() -> None:
    rng = np.random.default_rng(3)
    above, below = rng.integers(0, 5, 60), rng.integers(1, 9, 60)
    (found,) = ratios(Sums(above[:, None], below[:, None]))
    rng = np.random.default_rng(9)  # other draws, one by one
    slow = []
    for _ in range(N_RESAMPLES):
        picks = rng.integers(0, 60, 60)
        slow.append(above[picks].sum() / below[picks].sum())
    assert found.value == above.sum() / below.sum()
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.02)


def test_the_difference_of_two_takes_the_same_pairs_for_both() -> None:
    rng = np.random.default_rng(4)
    gold = [all_sure(frozenset((n, n) for n in range(rng.integers(1, 9)))) for _ in range(50)]
    good = [frozenset(link for link in one.sure if rng.random() < 0.8) for one in gold]
    worse = [frozenset(link for link in links if rng.random() < 0.9) for links in good]
    found = difference(good, worse, gold).estimate
    rates = [score(links, gold).error_rate for links in (good, worse)]
    assert found.value == pytest.approx(rates[0].value - rates[1].value) and found.value < 0
    assert found.low < found.value < found.high < 0  # paired: far narrower than the two intervals, which overlap
    assert found.high - found.low < rates[0].high - rates[0].low
    same = difference(good, good, gold)
    assert (same.value, *same.interval()) == (0, 0, 0)


@pytest.mark.figures
@pytest.mark.parametrize(("system", "expected"), [("giza", 20.96), ("fastalign", 28.46)])
def test_check_15_published_outputs(system: str, expected: float, shared_data: Path) -> None:
    folder = shared_data / "alignment" / "de-en"
    pairs = read_pairs(folder / "test.de", folder / "test.en")
    gold = read_links(folder / "alignment.talp", pairs, base=1)
    assert sum(len(one.sure) for one in gold) == 9613 and sum(len(one.possible - one.sure) for one in gold) == 921
    links = read_links(folder / f"{system}.talp", pairs, base=0)
    found = score([one.sure for one in links], gold)
    assert round(100 * found.error_rate.value, 2) == expected
    assert 100 * found.error_rate.low < expected < 100 * found.error_rate.high
    if system == "giza":
        assert (round(100 * found.precision, 1), round(100 * found.recall, 1), found.n_links) == (86.2, 72.8, 8292)
