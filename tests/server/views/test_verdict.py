"""The verdict, held against the sum that it names parts of."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.analyses.explain import Explanation, explain
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.intervene import changed, parse_change
from ffmem.server.views.verdict import verdict

TEXT = "the old river of the village"


@pytest.fixture(scope="module")
def asked(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> Callable[..., Explanation]:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))

    def ask(*changes: str, **named: str) -> Explanation:
        read = read_as_indexed(model, TEXT, index, None)
        with changed(model, read, [parse_change(model, one) for one in changes]):
            return explain(model, TEXT, index=index, limit=500, **named)

    return ask


def test_the_parts_named_are_the_largest_of_the_sum(asked: Callable[..., Explanation]) -> None:
    found = asked(against="e")
    parts = {"embedding ": found.embedding}
    parts |= {f"attention {one.layer}": one.attention for one in found.layers}
    parts |= {f"cell {one.cell.cell}": one.share for one in found.cells}
    named = verdict(found)
    largest = sorted((one for one in parts.values() if one > 0), reverse=True)[:3]
    assert [one.share for one in named.parts] == largest
    assert all(parts[f"{one.what} {one.where}"] == one.share for one in (*named.parts, *named.opposed))
    against = [one for one in sorted(parts.values()) if -one >= largest[-1]][:3]
    assert [one.share for one in named.opposed] == against
    assert named.asked and named.other == "e" and named.other_probability == found.against_probability


def test_the_second_most_probable_token_stands_beside_the_first(asked: Callable[..., Explanation]) -> None:
    found = asked()
    named = verdict(found)
    assert (named.target, named.probability) == (found.likely[0].token, found.likely[0].probability)
    assert (named.other, named.other_probability) == (found.likely[1].token, found.likely[1].probability)
    assert not named.asked and named.after_probability is None
    second = verdict(asked(target=f"id:{found.likely[1].token_id}"))
    assert (second.rank, second.other) == (1, found.likely[0].token)


def test_changes_are_told_beside(asked: Callable[..., Explanation]) -> None:
    before = asked()
    after = asked("L1.3*0", "L0.2=50", target=f"id:{before.target_id}")
    named = verdict(before, after)
    assert named.after_probability == after.probability != before.probability
    assert named.after_score == after.score and named.after_first == (
        None if after.likely[0].token_id == before.likely[0].token_id else after.likely[0].token
    )
    by_cell = {str(one.cell.cell): one.share for one in after.cells}
    for one in (*named.parts, *named.opposed):
        if one.what == "cell":
            assert one.after == by_cell.get(one.where)
