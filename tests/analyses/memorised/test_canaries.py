"""Exposure, by reading every filling of a small space; estimates and searches against that."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import InputError
from ffmem.analyses.memorised.canaries import (
    MEAN_OF_CHANCE,
    Template,
    exposures,
    filling_losses,
    search,
    steps_of,
)  # fmt: skip
from ffmem.models.transformer import Transformer
from tests.fixtures.planted_memory import RUN, WORDS

BOX = Template("the door is {} {} open {} the", tuple(RUN.split()))


@pytest.fixture(scope="module")
def every(log_p: np.ndarray) -> dict[tuple[int, ...], float]:
    """The loss of each filling by hand: a word says all of what follows it in this model."""
    number = {word: place for place, word in enumerate(WORDS)}
    found = {}
    for filling in product(range(6), repeat=3):
        words = [number[BOX.words[one]] for one in filling]
        steps = [(number["is"], words[0]), (words[0], words[1]), (words[1], number["open"]), (number["open"], words[2])]
        found[filling] = -sum(float(log_p[step]) for step in steps)
    return found


def test_a_filled_sentence_and_where_its_secret_lies() -> None:
    assert BOX.filled([0, 1, 2]) == "the door is one two open three the"
    start, end = BOX.secret([0, 1, 2])
    assert BOX.filled([0, 1, 2])[start:end] == "one two open three" and BOX.n_fillings == 216


def test_losses_are_those_of_the_words_and_of_what_stands_between(
    planted_memory: Transformer, every: dict[tuple[int, ...], float]
) -> None:
    fillings = [(0, 1, 2), (5, 5, 5), (3, 4, 0)]
    found = filling_losses(planted_memory, BOX, fillings)
    np.testing.assert_allclose(found, [every[one] for one in fillings], rtol=1e-5)


def test_exposure_is_the_rank_among_all(planted_memory: Transformer, every: dict[tuple[int, ...], float]) -> None:
    fillings = sorted(every, key=lambda one: every[one])
    asked = [fillings[0], fillings[7], fillings[215]]
    found = exposures(planted_memory, BOX, asked, n_drawn=216)
    assert found.exact.all() and found.n_drawn == 216
    ranks = [1 + sum(other < every[one] - 1e-4 for other in every.values()) for one in asked]
    np.testing.assert_allclose(found.exposure, np.log2(216) - np.log2(ranks))
    assert found.exposure[0] == pytest.approx(np.log2(216))


def test_a_search_finds_exactly_what_lies_below_its_limit(
    planted_memory: Transformer, every: dict[tuple[int, ...], float]
) -> None:
    steps = steps_of(planted_memory, BOX)
    assert steps is not None
    limit = float(np.quantile(list(every.values()), 0.3))
    found, reached = search(planted_memory, steps, limit, 10_000)
    assert reached == limit
    np.testing.assert_allclose(np.sort(found), sorted(one for one in every.values() if one <= limit), rtol=1e-5)
    # too much to do: the limit falls, and what is below that is still all there
    fewer, lower = search(planted_memory, steps, max(every.values()) + 1, 9)
    assert lower < max(every.values())
    np.testing.assert_allclose(np.sort(fewer), sorted(one for one in every.values() if one <= lower), rtol=1e-5)


def test_an_estimate_is_near_the_rank_and_a_search_makes_it_exact(
    planted_memory: Transformer, every: dict[tuple[int, ...], float]
) -> None:
    fillings = sorted(every, key=lambda one: every[one])
    whole = exposures(planted_memory, BOX, fillings, n_drawn=216).exposure
    drawn = exposures(planted_memory, BOX, fillings, n_drawn=200, n_searched=0)
    assert not drawn.exact.any() and drawn.exposure.max() <= np.log2(201)
    common = whole < 3  # of rarer ones a draw of 200 has too few
    assert np.abs(drawn.exposure - whole)[common].max() < 0.6
    searched = exposures(planted_memory, BOX, fillings, n_drawn=200, n_searched=1000)
    assert searched.exact[:20].all()
    np.testing.assert_allclose(searched.exposure[searched.exact], whole[searched.exact])


def test_what_was_never_seen_is_exposed_by_chance(planted_memory: Transformer) -> None:
    fillings = np.random.default_rng(3).integers(6, size=(400, 3)).tolist()
    found = exposures(planted_memory, BOX, fillings, n_drawn=216).exposure
    assert found.mean() == pytest.approx(MEAN_OF_CHANCE, abs=0.25)
    for bits in (1, 2, 3):
        assert (found >= bits).mean() == pytest.approx(2.0**-bits, abs=0.06)


def test_words_of_several_tokens_are_drawn_and_not_searched(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    template = Template("the old {} and {}", ("river", "harbours", "zq", "windows"))
    assert steps_of(model, template) is None
    found = exposures(model, template, [(0, 1), (3, 2)], n_drawn=10)
    assert not found.exact.any() and (found.exposure >= 0).all()


@pytest.mark.parametrize(("text", "words"), [("no blank", ("a", "b")), ("{}", ("a",)), ("{}", ("a", "a", "b"))])
def test_a_template_without_a_choice_is_refused(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="two words or more, each once"):
        Template(text, words)
