"""What is planted is found, and is called just that."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.names.rules.labels import labels_of
from tests.names.rules.world import World


def test_units_are_called_after_what_they_fire_on(world: World) -> None:
    tokens, before = world.tokens, world.before()
    in_myths = (world.topic == "myth") & (world.rng.random(len(tokens)) < 0.1)
    labels = world.labels(
        np.isin(tokens, ["looked", "Looked"]),
        (tokens == "as") & (before == "such"),
        before == "whose",
        np.char.isdigit(tokens),
        tokens == "наука",
        in_myths,
        tokens == "\x1b[31m\n",
    )
    assert [one.text for one in labels[:5]] == [
        "fires on 'looked' · 100 %",
        "fires on 'such as' · 100 %",
        "after 'whose' · 100 %",
        "numbers · 100 %",
        "Cyrillic script · 100 %",
    ]
    assert [one.grade for one in labels[:5]] == ["A"] * 5
    assert [one.kind for one in labels] == ["token", "ngram", "previous", "shape", "shape", "field", "token"]
    assert labels[5].text.startswith("myth (topic, lift ") and labels[5].topic == "myth"
    assert labels[6].text == "fires on '\\x1b[31m\\n' · 100 %"


def test_what_is_certain_or_unclear_has_no_grade_and_a_name_has_the_score_of_its_evidence(world: World) -> None:
    names = world.names(*[world.tokens == "king"] * 4, world.rng.random(len(world.tokens)) < 0.01)
    units = replace(names.units, certain=np.array([1, 2, 3, 0, 0]))
    labels = list(labels_of(replace(names, units=units)))
    assert [(one.text, one.kind, one.grade) for one, _ in labels[:3]] == [
        ("dead", "dead", ""), ("always on", "always", ""), ("rare", "rare", "")
    ]  # fmt: skip
    assert [scores for _, scores in labels[:3]] == [()] * 3
    king, (score,) = labels[3]
    assert king.evidence is not None and king.grade == "A"
    assert (score.value, score.low, score.high) == tuple(king.evidence[name] for name in ("f1", "low", "high"))
    assert king.evidence["pmi"] == pytest.approx(np.log2(king.evidence["lift"]), abs=0.001)
    nothing = labels[4][0]
    assert (nothing.text, nothing.grade) == ("", "") and nothing.kind in ("unclear", "none")
    assert nothing.kind == "none" or nothing.evidence["guess"]  # type: ignore[index]
    assert [one.cell.index for one, _ in labels_of(names, {1, 3})] == [1, 3]
