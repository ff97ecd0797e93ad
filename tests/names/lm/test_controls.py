from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.ids import CellId
from ffmem.names.lm.controls import (
    DECOYS,
    FAKES,
    Task,
    at_own_last_tokens,
    at_random_positions,
    layer_decoys,
    layer_tasks,
    limit,
    limits,
    passes,
)
from ffmem.names.lm.items import items_of
from ffmem.names.lm.known import Unit, known_of
from ffmem.names.lm.texts import Texts

UNITS = [Unit(CellId(3, i)) for i in range(20)]


def test_an_eighth_of_a_layer_again_is_fake_of_all_kinds_in_turn() -> None:
    first, kinds = 0, Counter[str]()
    for layer in range(8):
        tasks = layer_tasks(UNITS, FAKES, first, np.random.default_rng(layer))
        fakes = [one for one in tasks if one.fake is not None]
        assert len(fakes) == 3 and {one.unit for one in tasks if one.fake is None} == set(UNITS)
        first += len(fakes)
        kinds.update(str(one.fake) for one in fakes)
        for one in fakes:
            assert (one.other is not None) == (one.fake == "another cell's triggers") and one.other != one.unit
    assert kinds == dict.fromkeys(FAKES, 6)


def test_fakes_stand_anywhere_among_the_units() -> None:
    places = Counter(
        i
        for seed in range(200)
        for i, one in enumerate(layer_tasks(UNITS, FAKES, 0, np.random.default_rng(seed)))
        if one.fake is not None
    )
    assert len(places) == 23 and max(places.values()) < 60


def test_decoys_are_names_of_others_or_of_nothing() -> None:
    names = {unit: f"name {unit.cell.index % 7}" for unit in UNITS}
    found = [one for first in (0, 2, 4) for one in layer_decoys(names, first, np.random.default_rng(first))]
    assert [kind for _, kind, _ in found] == [*DECOYS, *DECOYS]
    for unit, kind, name in found:
        if kind == "another cell's name":
            assert name in names.values() and name != names[unit]
        else:
            assert name == {"a common word": "a common English word", "no name": ""}[kind]
    assert layer_decoys({}, 0, np.random.default_rng(0)) == []
    assert layer_decoys({UNITS[0]: "x"}, 0, np.random.default_rng(0))[0][1] == "a common word"


@pytest.mark.parametrize("half", ["naming", "judging"])
def test_a_fake_at_random_positions_fires_at_no_word(planted: Path, half: str) -> None:
    texts, unit = Texts(ffmem.open_index(planted)), Unit(CellId(0, 1))
    known = known_of(texts, unit)
    fake = at_random_positions(texts, known, half, np.random.default_rng(0))  # type: ignore[arg-type]
    assert fake is not None
    fires = fake.sample.where(fake.fires(fake.sample))
    words = Counter(texts.index.text.token_strings(texts.last[fires.tokens].tolist()))
    assert len(fires) >= 5 and max(words.values()) <= 3
    assert texts.halves.is_in(half, fires.tokens).all() and not set(fires.tokens.tolist()) & set(fake.silent.tolist())  # type: ignore[arg-type]
    # it fires as strongly as the unit that it is made like
    assert set(fires.coefficients.tolist()) <= set(known.sample.coefficients.tolist())


def test_a_fake_at_own_last_tokens_cannot_be_told_from_its_hard_negatives(planted: Path) -> None:
    texts = Texts(ffmem.open_index(planted))
    known = known_of(texts, Unit(CellId(0, 1)))
    word = int(texts.last[known.top.tokens[0]])
    here = np.flatnonzero(texts.last == word)
    judging = here[texts.halves.is_in("judging", here)]
    fake = at_own_last_tokens(texts, known, "judging", judging)
    assert fake is not None
    items = items_of(texts, fake, np.random.default_rng(0)).detection
    assert all(int(texts.last[one.token]) == word for one in items if one.fires)
    assert sum(int(texts.last[one.token]) == word for one in items if one.group == "hard") >= 4
    assert at_own_last_tokens(texts, known, "judging", judging[:4]) is None


def test_a_limit_is_that_of_the_layers_own_fakes_if_there_are_enough() -> None:
    own = [(5, i / 100) for i in range(20, 60)]
    far = [(0, 0.99)] * 10
    # of 40 values from 0.20 to 0.59 the quantile 0.95 lies at place 37.05, and the next one is taken
    assert limit(5, [*own, *far]) == pytest.approx(0.58)
    # of too few, those of the nearest layers too, all of them that are as near
    assert limit(1, [(1, 0.1), *[(0, 0.3)] * 10, *[(2, 0.7)] * 10, (9, 1.0)]) == pytest.approx(0.7)
    assert limits([0, 1], []) == {0: -np.inf, 1: -np.inf}


@pytest.mark.parametrize(
    ("hard", "above", "expected"),
    [(0.6, -np.inf, True), (0.59, -np.inf, False), (0.7, 0.7, False), (0.71, 0.7, True), (None, 0.0, False)],
)
def test_a_name_passes_above_both_limits(hard: float | None, above: float, expected: bool) -> None:
    assert passes(hard, above) is expected


def test_groups_of_the_report() -> None:
    assert Task(UNITS[0]).group == "cells"
    assert Task(UNITS[0], "random direction").group == "fake: random direction"
