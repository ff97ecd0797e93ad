"""Names of two parts."""

import numpy as np

from ffmem.names.rules.firing import Firing
from ffmem.names.rules.pairs_of_rules import Places, is_a_thing
from tests.names.rules.texts import made_text
from tests.names.rules.world import World


def test_a_token_in_certain_texts_is_said_so(world: World) -> None:
    fires = (world.tokens == "bank") & np.isin(world.topic, ["law"])
    label = world.labels(fires | ((world.tokens == "bank") & (world.rng.random(len(fires)) < 0.01)))[0]
    assert label.text.startswith("fires on 'bank' in law (topic)")
    assert label.evidence is not None and label.evidence["condition"] == {"feature": "topic", "value": "law"}


def test_two_things_are_told_as_two(world: World) -> None:
    fires = (world.tokens == "king") | ((world.before() == "whose") & (world.rng.random(len(world.tokens)) < 0.6))
    label = world.labels(fires)[0]
    assert label.text.startswith("two things: ") and "king" in label.text and "whose" in label.text


def test_places_of_tokens_are_those_where_a_cell_can_fire() -> None:
    text = made_text(60)
    found = Places(text).of(np.array([3, 7]))
    expected = [at for at in range(len(text.token)) if text.token[at] in (3, 7) and text.within[at]]
    assert sorted(found.tolist()) == expected
    assert len(Places(text).of(np.zeros(0, dtype=np.int64))) == 0


def test_a_second_thing_is_precise_and_makes_enough_of_what_a_unit_does() -> None:
    """Four positions of weight 1: half of them hit."""
    units = np.repeat(np.arange(3), 4)
    coefficient = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0.1, 0.1, 2, 2])
    where = Firing(3, units, np.tile(np.arange(4), 3), coefficient, np.ones(12), 100.0)
    hit = np.tile([True, True, False, False], 3)
    # two hits of four are half; of five, less; and 0.2 of 4.2 is less than 15 % of the mass
    assert is_a_thing(where, hit, np.array([4, 5, 4])).tolist() == [True, False, False]
