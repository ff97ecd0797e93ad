"""Names in a few numbers."""

from dataclasses import replace

import numpy as np

from ffmem.names.rules.labels import labels_of
from ffmem.names.rules.summary import summarize
from tests.names.rules.world import World


def test_a_summary_counts_labels_and_shows_each_surest_name_once(world: World) -> None:
    names = world.names(
        *[world.tokens == "king"] * 3, np.isin(world.tokens, ["looked", "Looked"]), world.before() == "whose",
        *(world.rng.random(len(world.tokens)) < 0.01 for _ in range(3)), *[world.tokens == "bank"] * 2,
    )  # fmt: skip
    names = replace(names, units=replace(names.units, certain=np.array([0] * 8 + [1, 3])))
    labels = [label for label, _ in labels_of(names)]
    found = summarize(names)
    (layer,) = found.layers
    kinds = [one.kind for one in labels]
    assert layer.kinds == {kind: kinds.count(kind) / 10 for kind in set(kinds)}
    assert layer.grades == {grade: sum(one.grade == grade for one in labels) / 10 for grade in "ABC"}
    assert (layer.layer, layer.n_units, layer.certain) == ("L0", 10, 0.2)
    assert (found.n_units, found.n_named, found.n_confident) == (10, 7, 5) and found.is_tested
    assert list(layer.kinds)[:2] == ["token", "previous"]
    assert sorted(one.text.split(" → ")[0] for one in found.best) == [
        "after 'whose' · 100 %", "fires on 'king' · 100 %", "fires on 'looked' · 100 %"
    ]  # fmt: skip
    assert [one.low for one in found.best] == sorted((one.low for one in found.best), reverse=True)
    assert {one.cell.index for one in found.best} == {0, 3, 4}
