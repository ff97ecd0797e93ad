"""Cells by what they are called, against a loop over all names."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, InputError
from ffmem.ids import CellId
from ffmem.queries import NameQuestion, cells, find
from ffmem.store.label_rows import NewLabel, Score
from tests.fixtures.made_index import Document, Layer, make_index

WORDS = ["river", "rivers", "old", "Café", "日本", "C++", "ÉTÉ", "fires", "on"]
TEXT = [["the", " river"], ["a", " bank"]]


def named_index(folder: Path) -> Index:
    """Gated cells, some of them with names; made of few words, so that words meet."""
    dice = np.random.default_rng(0)
    layers = [Layer(dice.integers(-3, 4, (4, 6))) for _ in range(3)]
    index = make_index(folder, [Document(TEXT)], layers, gated=True)
    labels, scores = [], []
    for place in range(3):
        for number in range(6):
            for sign in (1, -1):
                text = " ".join(dice.choice(WORDS, dice.integers(0, 4)))
                source = ("rule", "human", "lm", "import")[dice.integers(4)]
                grade = ("A", "B", "C", "")[dice.integers(4)] if source == "rule" else ""
                evidence = {"field": "label", "value": str(dice.choice(WORDS))} if dice.random() < 0.5 else {}
                evidence |= {"passes": bool(dice.random() < 0.5)} if source in ("lm", "import") else {}
                labels.append(NewLabel(CellId(place, number), sign, source, text, "token", evidence, "a", grade=grade))  # type: ignore[arg-type]
                value = float(dice.integers(10)) / 10
                scores.append([Score("f1" if source == "rule" else "detection", value, 0, 1, 9)])
    index.names.add(labels, scores)
    return index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return named_index(tmp_path_factory.mktemp("named") / "index")


def tier(name: object) -> tuple[int, float]:
    """How sure a name is, as docs/reference/names.md has it."""
    order = {"human": 0, "lm": 1, "import": 1, "rule": 2}
    grade = "ABC".find(name.grade) if name.source == "rule" else 0  # type: ignore[attr-defined]
    return (order[name.source] + grade, -(name.score or 0.0) if name.source != "human" else 0.0)  # type: ignore[attr-defined]


def expected(index: Index, words: list[str], **wanted: str) -> list[tuple[str, int]]:
    """(cell, sign) of all names with these words, whole if a name has them so, the surest first."""
    guesses = wanted.get("source") == "guess"
    named = [one for one in index.names.all_names(guesses=True) if one[2].is_guess == guesses]
    for source in ("source", "grade"):
        if wanted.get(source) and not (source == "source" and guesses):
            named = [one for one in named if getattr(one[2], source).lower() == wanted[source].lower()]
    if wanted.get("topic"):
        named = [one for one in named if one[2].topic.lower() == wanted["topic"].lower()]
    for pattern in (r"(?<![^\W_]){}(?![^\W_])", "{}"):
        patterns = [re.compile(pattern.format(re.escape(word)) if (word.isascii() and word.isalpha()) or word == "Café"
                               else re.escape(word), re.IGNORECASE) for word in words]  # fmt: skip
        found = [one for one in named if all(each.search(one[2].text) for each in patterns)]
        if found:
            break
    ranked = sorted(found, key=lambda one: (*tier(one[2]), one[0].layer, one[0].index, -one[1]))
    return [(str(cell), sign) for cell, sign, _ in ranked]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([*WORDS, "iver", "été", "FIRES", "nothing"]), max_size=2),
    st.sampled_from(["", "", "river", "Café"]),
    st.sampled_from(["", "", "human", "lm", "rule", "import", "guess"]),
    st.sampled_from(["", "", "", "A", "c"]),
)
def test_find_equals_a_loop_over_names(index: Index, words: list[str], topic: str, source: str, grade: str) -> None:
    question = NameQuestion(" ".join(words), topic, source, grade)
    if question.empty:
        with pytest.raises(InputError, match="no condition is given"):
            find(index, names=question)
        return
    everything = expected(index, words, topic=topic, source=source, grade=grade)
    found = find(index, names=question, limit=5)
    assert [(str(row.cell), row.sign) for row in found.rows] == everything[:5]
    assert found.n_found == len(everything)
    assert all(row.name is None or row.name.sign == row.sign for row in found.rows)
    again = find(index, names=question, layer="1", limit=100)  # with another condition, all are looked at
    assert [(str(row.cell), row.sign) for row in again.rows] == [one for one in everything if one[0].startswith("L1.")]
    assert again.n_found == len(again.rows)


def test_names_and_triggers_must_both_fit(index: Index) -> None:
    fires = {(str(one.cell), one.sign) for one in find(index, fires_on=" river", limit=100).rows}
    called = {(str(one.cell), one.sign) for one in find(index, names=NameQuestion("river"), limit=100).rows}
    both = find(index, fires_on=" river", names=NameQuestion("river"), limit=100)
    assert {(str(one.cell), one.sign) for one in both.rows} == fires & called and 0 < len(both.rows) < len(called)
    by_name = find(index, fires_on=" river", names=NameQuestion("river"), sort="name", limit=100)
    order = [one for one in expected(index, ["river"]) if one in fires]
    assert [(str(one.cell), one.sign) for one in by_name.rows] == order


@pytest.mark.parametrize(
    ("asked", "problem"),
    [({"source": "me"}, "the source of a name is 'me'"), ({"grade": "D"}, "the grade of a name is 'D'")],
)
def test_what_there_is_none_of(asked: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        NameQuestion(**asked)


def test_lists_by_name_are_those_of_all_names(index: Index) -> None:
    """Sure names as their tiers have them, then guesses, then cells without a name, whichever way round names stand."""
    sure, guesses = expected(index, []), expected(index, [], source="guess")
    named = [*sure, *guesses]
    units = [(f"L{place}.{row}", sign) for sign in (1, -1) for place in range(3) for row in range(6)]
    without = sorted(set(units) - set(named), key=lambda one: (one[0], -one[1]))
    assert len(sure) > 9 and guesses and without
    rows = find(index, layer=":", sort="name", limit=100).rows
    assert [(str(one.cell), one.sign) for one in rows] == [*named, *without]
    assert [(str(one.cell), one.sign) for one in find(index, layer=":", sort="name", limit=4, start=3).rows] == named[
        3:7
    ]
    by_cell = list(dict.fromkeys(cell for cell, _ in named))
    unnamed = [cell for cell in dict.fromkeys(cell for cell, _ in sorted(units)) if cell not in by_cell]
    assert [str(one.cell) for one in cells(index, sort="name", limit=100)] == [*by_cell, *unnamed]
    assert [str(one.cell) for one in cells(index, sort="name", limit=100, reverse=True)] == [*by_cell[::-1], *unnamed]
    of_layer = [one for one in by_cell if one.startswith("L1.")]
    assert [str(one.cell) for one in cells(index, sort="name", layer="1", limit=len(of_layer))] == of_layer
