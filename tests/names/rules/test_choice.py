"""Values are taken one by one while they help, and a simple family before a complex one."""

import numpy as np
import pytest

from ffmem.names.rules.choice import choose, chosen
from ffmem.names.rules.features import Feature, Single
from ffmem.names.rules.statistics import Candidates
from tests.names.rules.texts import fired, made_text


def candidates_of(*units: list[tuple[float, float]]) -> Candidates:
    """(k, n) of each candidate of each unit; candidate i is value i, of the two spellings 2i and 2i + 1 of ten."""
    unit = np.repeat(np.arange(len(units)), [len(one) for one in units])
    value = np.concatenate([np.arange(len(one)) for one in units])
    k, n = np.array([pair for one in units for pair in one]).T
    keys = np.concatenate([u * 10 + 2 * v + np.arange(2) for u, v in zip(unit, value, strict=True)])
    return Candidates(unit, value, k, n, -value, keys, np.repeat(value, 2))


def test_a_value_is_taken_if_f1_grows_by_more_than_two_percent() -> None:
    found = candidates_of(
        [(6, 8), (1, 30), (4, 4)],  # 2*6/18, then with the third 2*10/22; the second would make it fall
        [(5, 5), (1, 2), (0.4, 1)],  # 10/15, 12/17, and 12.8/18 is 0.7 % more
        [(0, 5)],
    )
    rules = chosen(found, np.full(3, 10.0), n_values=5, n_members=10, most=3)
    assert rules.value.tolist() == [[0, 2, -1], [0, 1, -1], [-1, -1, -1]]
    assert rules.f1 == pytest.approx([20 / 22, 12 / 17, 0])
    spellings = np.arange(6)
    assert rules.matches(np.zeros(6, np.int64), spellings, 10).tolist() == [0, 0, -1, -1, 1, 1]
    assert rules.matches(np.ones(6, np.int64), spellings, 10).tolist() == [0, 0, 1, 1, -1, -1]
    assert rules.matches(np.full(6, 2), spellings, 10).tolist() == [-1] * 6
    assert chosen(found, np.full(3, 10.0), 5, 10, most=1).value[:, 1:].max() == -1


def test_greedy_choice_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(2)
    pairs = [[(float(k), float(k + more)) for k, more in zip(rng.random(5) * 4, rng.random(5) * 9, strict=True)]
             for _ in range(40)]  # fmt: skip
    rules = chosen(candidates_of(*pairs), np.full(40, 12.0), 5, 10, most=3)
    n_taken = set()
    for unit, of_unit in enumerate(pairs):
        taken: list[int] = []
        f1 = 0.0
        while len(taken) < 3:
            tried = {
                i: 2 * min(sum(of_unit[j][0] for j in [*taken, i]), 12) / (12 + sum(of_unit[j][1] for j in [*taken, i]))
                for i in range(5)
                if i not in taken
            }
            best = max(tried, key=lambda i: tried[i])
            if tried[best] <= 1.02 * f1:
                break
            taken, f1 = [*taken, best], tried[best]
        n_taken.add(len(taken))
        assert [one for one in rules.value[unit].tolist() if one >= 0] == taken
        assert rules.f1[unit] == pytest.approx(f1)
    assert len(n_taken) > 1


def test_of_two_families_that_say_the_same_the_simpler_one_is_chosen() -> None:
    text = made_text(400)
    token, other = Single(text, text.token, 12), Single(text, (text.token + 5) % 12, 12)
    features = (
        Feature("b", "window", other, said=text.strings),
        Feature("a", "token", token, said=text.strings),
        Feature("c", "cluster", other, said=text.strings),
    )
    fires = np.array([text.token == 3, np.zeros(len(text.token), dtype=bool)])
    choice = choose(text, features, fired(text, fires, 0), 0)
    assert choice.best.tolist() == [1, -1]
    assert [one.value[0].tolist() for one in choice.rules] == [[8, -1, -1], [3, -1, -1], [8, -1, -1]]
