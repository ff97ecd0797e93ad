"""What a rule is worth, against plain counts."""

import numpy as np
import pytest

from ffmem.names.rules.choice import Rules
from ffmem.names.rules.confidence import covered, ends, hits, measured
from ffmem.names.rules.features import Feature
from ffmem.names.rules.ngrams import ngrams
from ffmem.names.rules.windows import Windows
from tests.names.rules.texts import fired, made_text
from tests.names.rules.world import World


def test_the_numbers_beside_a_name_are_those_of_a_plain_count(world: World) -> None:
    """A unit fires on some of a word's positions, and on as many others."""
    drawn = world.rng.random(len(world.tokens))
    fires = ((world.tokens == "bank") & (drawn < 0.1)) | ((world.tokens != "bank") & (drawn < 0.003))
    names = world.names(fires)
    held_out = world.text.quarter[world.document] >= 2
    bank = (world.tokens == "bank") & held_out
    # it fires at less than 1 % of the naming half, so that all of it lies above the threshold
    assert (fires & ~held_out).sum() < 0.01 * (~held_out).sum()
    hits, all_firing = (bank & fires).sum(), (fires & held_out).sum()
    assert names.units.judged("recall")[0] == pytest.approx(hits / all_firing, abs=0.02)
    assert names.units.judged("precision")[0] == pytest.approx(hits / bank.sum(), abs=0.02)
    assert names.units.judged("f1")[0] == pytest.approx(2 * hits / (all_firing + bank.sum()), abs=0.02)
    assert names.units.judged("n")[0] == bank.sum()


def test_measures_are_those_of_loops() -> None:
    text = made_text(400)
    rng = np.random.default_rng(1)
    fires = rng.random((3, len(text.token))) < np.array([[0.02], [0.002], [0.0]])
    where = fired(text, fires, 1)
    hit = rng.random(len(where)) < 0.3
    n = np.array([40.0, 10.0, 5.0])
    draws = rng.integers(0, 3, (text.n_documents, 40)).astype(np.float32)
    chance = np.full(len(where), 0.2)
    found = measured(text, where, hit, n, (chance, np.zeros(len(where), dtype=bool)), draws, np.array([True] * 3))
    for unit in (0, 1):
        own = where.unit == unit
        weight, coefficient, of = where.weight[own], where.coefficient[own], text.document[where.token[own]]
        hits_of, total = sum(weight[hit[own]]), sum(weight)
        assert found.recall[unit] == pytest.approx(hits_of / total)
        assert found.mass[unit] == pytest.approx(sum((weight * coefficient)[hit[own]]) / sum(weight * coefficient))
        assert found.lift[unit] == pytest.approx(hits_of / total / (n[unit] / where.n_text))
        within = min(hits_of, n[unit])
        assert found.f1[unit] == pytest.approx(2 * within / (n[unit] + total))
        again = []
        for draw in draws.T:
            times = draw[of] * weight
            share = sum(times[hit[own]]) / sum(times)
            again.append(2 * min(share * total, n[unit]) / (n[unit] + total))
        again.sort()
        assert (found.low[unit], found.high[unit]) == pytest.approx((again[1], again[39]), rel=1e-4)
        n_documents = len(set(of.tolist()))
        n_hit = len(set(of[hit[own]].tolist()))
        each = [1 - 0.8 ** int((of == one).sum()) for one in sorted(set(of.tolist()))]
        rest = [1.0] + [0.0] * n_documents
        for p in each:
            rest = [rest[i] * (1 - p) + (rest[i - 1] * p if i else 0) for i in range(n_documents + 1)]
        assert found.p[unit] == pytest.approx(sum(rest[n_hit:]))
    assert np.isnan(found.f1[2]) and found.n_firing.tolist() == [(where.unit == i).sum() for i in range(3)]


def test_of_several_values_at_a_position_the_first_counts() -> None:
    text = made_text(200, n_words=150)
    windows = Windows(text, ngrams(text, text.token, 1), 8)
    feature = Feature("w", "window", windows)
    where = fired(text, np.ones((1, len(text.token)), dtype=bool), 0)
    which, value = windows.expand(where.token)
    one, two = np.unique(value)[:2]
    rules = Rules(np.array([[two, one, -1]]), np.ones(1), np.array([one, two]), np.array([1, 0]))
    found = hits(feature, rules, where)
    for place in range(len(where)):
        here = value[which == place].tolist()
        assert found[place] == (0 if two in here else 1 if one in here else -1)
    assert {0, 1, -1} <= set(found.tolist())
    half = windows.counts[:, :2].sum(1)
    assert covered(feature, rules, 1, 0).tolist() == [half[one] + half[two]]


def test_ends_are_the_second_and_the_last_of_forty_and_what_is_missing_counts_as_zero() -> None:
    values = np.array([np.arange(40.0), np.arange(40.0)])
    values[1, 20:23] = np.nan
    low, high = ends(values[:, ::-1])
    assert (low.tolist(), high.tolist()) == ([1, 0], [39, 39])
