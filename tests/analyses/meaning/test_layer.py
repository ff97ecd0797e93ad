"""A layer's measures, of cells whose meaning is known."""

import numpy as np
import pytest

from ffmem.analyses.meaning.layer import Ground, measure_layer
from tests.analyses.meaning.made import Made, make_text, planted


@pytest.fixture(scope="module")
def made() -> Made:
    return make_text(n_documents=200)


def of_cells(made: Made, name: str, n_signs: int = 1) -> dict[str, float]:
    rng = np.random.default_rng(0)
    cell = planted(made)[name]
    c = np.stack([cell * (1 + 1e-3 * rng.random(len(cell))) for _ in range(6)] + [np.zeros(len(cell))], axis=1)
    found = measure_layer(Ground(made.sample, 0, n_signs), c, None, np.zeros(0, np.int64), (0, 0))
    assert found.n_cells == 6  # the silent one is left out
    told = found.told("L0", made.sample.n_documents)
    for one in told.measures.values():
        assert one.low <= one.value <= one.high
    return {name: one.value for name, one in told.measures.items()}


def test_topic_cells_are_told_from_word_cells(made: Made) -> None:
    words, topic = of_cells(made, "words"), of_cells(made, "topic")
    assert topic["topic"] > 0.3 and topic["units with topic"] == 1 and topic["units above"] == 1 and topic["lift"] > 2
    assert abs(words["topic"]) < 1e-3 and words["lift"] < 1.2 and words["token"] > 0.9
    total = sum(words[name] for name in ("token", "n-grams", "position", "earlier words", "unexplained"))
    assert total == pytest.approx(1)


def test_each_sign_of_a_gated_cell_is_a_unit(made: Made) -> None:
    """A cell that is below 0 at one topic has its meaning on that side."""
    cell = planted(made)["topic"]
    c = np.stack([-np.where(made.topic == 1, cell, 0)] * 4, axis=1)
    at = np.zeros(0, np.int64)
    one, two = (measure_layer(Ground(made.sample, 0, n), c, None, at, (0, 0)).drawn["coherence"][0] for n in (1, 2))
    assert np.isnan(one) and two == pytest.approx(1)


def test_draws_take_cells_anew() -> None:
    """Where one cell of many holds all there is, the interval says so."""
    made = make_text()
    rng = np.random.default_rng(0)
    c = rng.random((len(made.token), 20))
    c[:, 3] = planted(made)["topic"]
    found = measure_layer(Ground(made.sample, 0, 1), c, None, np.zeros(0, np.int64), (0, 0)).told("L0", 60)
    assert found.measures["topic"].low < 0.3 * found.measures["topic"].value


def test_a_layer_that_is_silent_has_no_shares(made: Made) -> None:
    found = measure_layer(Ground(made.sample, 0, 1), np.zeros((len(made.token), 3)), None, np.zeros(0, np.int64), (0,))
    assert found.n_cells == 0 and "token" not in found.drawn
    assert np.isnan(found.told("L0", 5).measures["lift"].value)
