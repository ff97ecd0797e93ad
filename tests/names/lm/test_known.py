from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.lm.known import Positions, Unit, at, candidates, known_of, positions, threshold_of, with_silent
from ffmem.names.lm.texts import Texts
from tests.fixtures.made_index import Document, Layer, make_index


def test_a_unit_fires_at_the_top_hundredth_of_what_the_sample_stands_for() -> None:
    # 10 + 40 positions of 1,000 are above 0, those of the first stratum each stand for 2, of the second for 4
    sample = Positions(
        np.arange(25),
        np.array([8.0, 7.5, 7.0, 6.5, 6.0, *np.linspace(3, 2, 10), *[-1.0] * 10]),
        np.array([2.0] * 5 + [4.0] * 10 + [95.0] * 10),
    )
    assert threshold_of(sample) == 6.0
    silent = Positions(np.arange(3), np.array([-1.0, 0.0, -2.0]), np.ones(3))
    assert threshold_of(silent) == np.inf
    rare = Positions(np.arange(3), np.array([0.5, 0.1, -2.0]), np.array([1.0, 1.0, 998.0]))
    assert threshold_of(rare) == 0.1


def test_what_is_known_of_a_planted_cell(planted: Path) -> None:
    index = ffmem.open_index(planted)
    texts, unit = Texts(index), Unit(CellId(0, 3))
    known = known_of(texts, unit)
    assert np.array_equal(known.top.coefficients, np.sort(known.top.coefficients)[::-1])
    assert {index.text.token_strings([int(texts.last[t])])[0] for t in known.top.tokens} == {" bat"}
    assert known.maximum == known.top.coefficients[0] and known.strength(known.maximum) == 10
    assert [known.strength(one * known.maximum) for one in (0.05, 0.11, 0.95, -1)] == [1, 2, 10, 0]
    assert len(known.silent) == 24 and not set(known.silent.tolist()) & set(known.top.tokens.tolist())


def test_the_model_tells_which_candidates_are_silent(planted: Path) -> None:
    texts = Texts(ffmem.open_index(planted))
    known = known_of(texts, Unit(CellId(0, 3)))
    asked = candidates(texts, known, "judging", np.random.default_rng(0))
    assert texts.halves.is_in("judging", asked).all() and len(asked) > 6
    text = texts.index.text
    coefficients = {}
    for sentence in text.sentence_of(asked).tolist():
        first, end = text.sentence_range(sentence)
        coefficients[sentence] = np.where(np.arange(first, end) % 2, 1.0, 0.0)
    assert at(texts, asked, coefficients).tolist() == [token % 2 for token in asked.tolist()]
    more = with_silent(texts, known, asked, coefficients)
    assert set(more.silent.tolist()) == set(known.silent.tolist()) | {t for t in asked.tolist() if t % 2 == 0}
    assert np.isnan(at(texts, asked, {})).all()


def test_without_a_sample_there_is_no_name(tmp_path: Path) -> None:
    index = make_index(tmp_path / "index", [Document([["a", "b"]])], [Layer(np.ones((2, 1)))])
    with pytest.raises(InputError, match="without a sample"):
        known_of(Texts(index), Unit(CellId(0, 0)))
    assert len(positions([], [])) == 0
