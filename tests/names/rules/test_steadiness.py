import numpy as np
import pytest

from ffmem.names.rules.choice import choose
from ffmem.names.rules.features import Feature, Single
from ffmem.names.rules.steadiness import steadiness
from tests.names.rules.texts import fired, made_text


def test_steadiness_is_how_often_a_loop_over_resamples_has_the_same_best_value() -> None:
    text = made_text(200)
    rng = np.random.default_rng(3)
    drawn = rng.random((3, len(text.token)))
    fires = np.array([text.token == 4, (text.token == 2) & (drawn[1] < 0.35) | (text.token == 7) & (drawn[1] < 0.34),
                      drawn[2] < 0])  # fmt: skip
    where = fired(text, fires, 0)
    feature = Feature("token", "token", Single(text, text.token, 12), said=text.strings)
    choice = choose(text, (feature,), where, 0)
    draws = rng.integers(0, 3, (text.n_documents, 30)).astype(np.float32)
    found = steadiness(text, choice, where, 0, draws)
    half = (text.quarter_of >> 1) == 0
    n = [((text.token == value) & half).sum() for value in range(12)]
    for unit in (0, 1):
        own = where.unit == unit
        token, of = text.token[where.token[own]], text.document[where.token[own]]
        n_same = 0
        for draw in draws.T:
            times = draw[of] * where.weight[own]
            f1 = [2 * min(times[token == v].sum(), n[v]) / (n[v] + times.sum()) for v in range(12)]
            n_same += int(np.argmax(f1)) == choice.rules[0].value[unit, 0]
        assert found[unit] == pytest.approx(n_same / 30)
    assert found[0] == 1 and 0.1 < found[1] < 0.97 and np.isnan(found[2])
