"""What is said of positions, against loops over the text."""

from collections import Counter

import numpy as np
import pytest

from ffmem.names.rules.features import Context, Feature, Single
from tests.names.rules.texts import made_text
from tests.names.rules.world import World


def feature_of(world: World, name: str) -> tuple[Feature, list[str]]:
    """A feature, and what it says of each position."""
    feature = next(one for one in world.features.all if one.name == name)
    assert isinstance(feature.values, Single) and feature.said is not None
    values = feature.values.at(np.arange(len(world.tokens)))
    return feature, ["" if one < 0 else feature.said[one] for one in values.tolist()]


def test_positions_tokens_and_topics_are_told_as_they_are(world: World) -> None:
    classes = ["first", "2", "3", "4", "5-6", "5-6", "7-9", "7-9", "7-9", *["10-14"] * 5]
    assert feature_of(world, "position")[1] == [classes[i] for i in world.position.tolist()]
    assert feature_of(world, "token")[1] == [f" {one}" for one in world.tokens.tolist()]
    assert feature_of(world, "topic")[1] == world.topic.tolist()
    before = [one.strip().casefold() for one in world.before().tolist()]
    assert feature_of(world, "previous")[1] == before
    script = {"наука": "Cyrillic"} | {str(number): "" for number in range(110, 120)}
    assert feature_of(world, "script")[1] == [script.get(one, "Latin") for one in world.tokens.tolist()]
    fields = [one.name for one in world.features.all if one.family == "field"]
    assert fields == ["topic"]  # the year is the same everywhere, no two documents share a seed


def test_values_are_counted_where_a_cell_can_fire() -> None:
    text = made_text(60)
    values = Single(text, (text.token % 5 - 1).astype(np.int8), 4)
    expected = Counter(
        (int(token % 5 - 1), int(text.quarter[document]))
        for token, document, competes in zip(text.token, text.document, text.competes, strict=True)
        if competes
    )
    assert values.counts.tolist() == [[expected[value, quarter] for quarter in range(4)] for value in range(4)]
    places = np.arange(3, 40)
    which, value = values.expand(places)
    assert list(zip(which.tolist(), value.tolist(), strict=True)) == [
        (i, int(text.token[at] % 5 - 1)) for i, at in enumerate(places) if text.token[at] % 5
    ]


def test_chance_is_what_other_documents_say_of_the_token() -> None:
    text = made_text(60)
    text = text.__class__(**{**vars(text), "competes": np.ones(len(text.token), dtype=bool)})
    topic = (np.arange(text.n_documents) % 3 - 1).astype(np.int8)
    values = Single(text, topic, 2, by="document")
    same = (text.document[:, None] == text.document) & (text.token[:, None] == text.token)
    context = Context(text, values, same.sum(1))
    positions = np.arange(0, len(text.token), 7)
    for value in (0, 1):
        rate = (topic[text.document] == value).mean()
        found = context.chance(positions, np.full(len(positions), value))
        for at, chance in zip(positions.tolist(), found.tolist(), strict=True):
            others = topic[text.document[(text.token == text.token[at]) & (text.document != text.document[at])]]
            assert chance == pytest.approx(((others == value).sum() + 5 * rate) / (len(others) + 5), rel=1e-5)
