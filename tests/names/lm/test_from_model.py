from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.ids import CellId
from ffmem.names.lm.from_model import FromModel
from ffmem.names.lm.known import Unit
from ffmem.names.lm.texts import Texts


@pytest.fixture
def asked(labelled_of: Callable[[str], ffmem.Index], tiny_folder: Callable[[str], Path]) -> Iterator[FromModel]:
    index = labelled_of("llama")
    with FromModel(ffmem.load_model(str(tiny_folder("llama"))), Texts(index)) as found:
        yield found


def test_coefficients_are_those_of_the_sample_times_the_sign(asked: FromModel) -> None:
    texts = asked._texts
    for sign in (1, -1):
        unit = Unit(CellId(1, 3), sign)
        sample = texts.index.sample(unit.cell, sign)
        sentences = texts.index.text.sentence_of(sample.tokens[:20]).tolist()
        found = asked.coefficients(unit, sentences)
        for token, sentence, value in zip(
            sample.tokens.tolist(), sentences, sample.coefficients.tolist(), strict=False
        ):
            first, _ = texts.index.text.sentence_range(sentence)
            assert found[sentence][token - first] == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_a_sentence_is_read_once(asked: FromModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = asked.coefficients(Unit(CellId(0, 1)), [3, 4])
    monkeypatch.setattr("ffmem.names.lm.from_model.token_coefficients", None)
    again = asked.coefficients(Unit(CellId(0, 1), -1), [4, 3])
    assert again[3].tolist() == (-first[3]).tolist()


def test_a_random_direction_fires_elsewhere_and_as_it_is_drawn(asked: FromModel) -> None:
    unit = Unit(CellId(1, 3))
    found, same, other = (asked.random_direction(unit, seed) for seed in (1, 1, 2))
    assert found.top.tokens.tolist() == same.top.tokens.tolist() != other.top.tokens.tolist()
    assert np.array_equal(found.top.coefficients, np.sort(found.top.coefficients)[::-1])
    assert found.maximum == found.top.coefficients[0] and found.top.coefficients[-1] > 0
    sentences = asked._texts.index.text.sentence_of(found.top.tokens)
    assert len(set(sentences.tolist())) == len(sentences)
    # among all that was looked at, about as many positions fire as should
    naming = found.sample.where(asked._texts.halves.is_in("naming", found.sample.tokens))
    assert 0 < found.fires(naming).mean() <= 0.011
    own = asked._texts.index.cell(unit.cell).triggers[0]
    first, _ = asked._texts.index.text.sentence_range(own.sentence_id)
    assert found.top.tokens[0] != first + own.position
