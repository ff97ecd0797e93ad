"""Ranking by lift, topics of cells, and pages, against a loop over every trigger of a hand-made index."""

import sys

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries import find
from ffmem.queries.lift import is_more_often
from tests.fixtures.made_index import Document, Layer, make_index

N_CELLS, TOP = 40, 12


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Random coefficients, of which some cells have few above 0; a third of the documents is about the sea."""
    rng = np.random.default_rng(3)
    words = [" sea", " land", " x", " y", " z"]
    documents = [
        Document(
            [[words[i] for i in rng.integers(0, 5, 4)] for _ in range(5)],
            f"d{number}",
            {"topic": "sea" if number % 3 == 0 else "land"},
        )
        for number in range(12)
    ]
    table = rng.normal(size=(12 * 5 * 4, N_CELLS)).astype(np.float32)
    table[:, ::7] -= 2.2  # few triggers
    about_sea = np.repeat([number % 3 == 0 for number in range(12)], 20)
    table[about_sea, 5] += 4
    return make_index(
        tmp_path_factory.mktemp("made") / "i", documents, [Layer(table), Layer(-table)], top=TOP, vocabulary=words
    )


def brute_force(index: Index, word: str | None = None, topic: str | None = None) -> dict[str, tuple[int, int]]:
    """(triggers that match, all triggers) of each cell, by looking at the text of each."""
    found = {}
    for place in range(2):
        for row in range(N_CELLS):
            triggers = index.cell(index.cells.cell_id(place, row)).triggers
            n = sum(
                (word is None or word in "".join(one.tokens[: one.position + 1]).split())
                and (topic is None or one.document.metadata["topic"] == topic)
                for one in triggers
            )
            found[f"L{place}.{row}"] = n, len(triggers)
    return found


@pytest.mark.parametrize("compiled_from", [0, 10**9])
@pytest.mark.parametrize(("word", "topic"), [("sea", None), (None, "sea"), ("land", "sea")])
def test_the_order_is_that_of_the_lift(
    index: Index, word: str | None, topic: str | None, compiled_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled or not."""
    monkeypatch.setattr(sys.modules["ffmem.queries.compiled"], "COMPILED_FROM", compiled_from)
    positions = [
        (word is None or word in "".join(tokens[: i + 1]).split())
        and (topic is None or row.document.metadata["topic"] == topic)
        for row in (index.trigger(1, 0, 1.0, int(first)) for first in index.text.sentence_start[:-1])
        for tokens in [row.tokens]
        for i in range(len(tokens))
    ]
    base = sum(positions) / len(positions)
    counts = {cell: pair for cell, pair in brute_force(index, word, topic).items() if pair[0]}
    score = {cell: (n + 10 * base) / (n_all + 10) / base for cell, (n, n_all) in counts.items()}
    found = find(index, trigger=word, meta={"topic": topic} if topic else None, limit=1000)
    assert found.base_rate == pytest.approx(base) and found.n_found == len(counts) > 30
    assert {str(row.cell): (row.n_triggers, row.n_all_triggers) for row in found.rows} == counts
    assert [score[str(row.cell)] for row in found.rows] == pytest.approx(sorted(score.values(), reverse=True))
    assert all(row.lift == pytest.approx(row.n_triggers / row.n_all_triggers / base) for row in found.rows)
    meta = {"topic": topic} if topic else None
    pages = [find(index, trigger=word, meta=meta, start=start, limit=7) for start in range(0, 84, 7)]
    assert tuple(row for page in pages for row in page.rows) == found.rows


def test_a_cell_is_about_a_topic_if_its_triggers_are_more_often_than_chance_has_it(index: Index) -> None:
    counts = brute_force(index, topic="sea")
    expected = {
        cell for cell, (n, n_all) in counts.items() if is_more_often(np.array([n]), np.array([n_all]), 1 / 3)[0]
    }
    found = find(index, topic="SEA", limit=1000)
    assert {str(row.cell) for row in found.rows} == expected and "L0.5" in expected and len(expected) < 20
    assert str(found.rows[0].cell) == "L0.5" and found.rows[0].n_triggers == TOP
    both = find(index, topic="sea", trigger="land", limit=1000)
    assert {str(row.cell) for row in both.rows} == {
        cell for cell in expected if brute_force(index, word="land")[cell][0]
    }
    with pytest.raises(InputError, match=r"no document has the topic 'sae'.*such as sea"):
        find(index, topic="sae")


def test_what_was_searched_for_is_marked_up_to_the_firing_token(index: Index) -> None:
    row = find(index, trigger="sea", limit=1).rows[0]
    for trigger, spans in zip(row.triggers, row.matches, strict=True):
        prefix = "".join(trigger.tokens[: trigger.position + 1])
        assert [trigger.text[a:b] for a, b in spans] == ["sea"] * prefix.count("sea") != []
        assert all(b <= len(prefix) for _, b in spans)
    whole = find(index, trigger="sea", within="sentence", limit=1, n_triggers=12).rows[0]
    ends = [len("".join(one.tokens[: one.position + 1])) for one in whole.triggers]
    assert any(b > end for end, spans in zip(ends, whole.matches, strict=True) for _, b in spans)


@pytest.mark.parametrize("sort", ["triggers", "coefficient", "active", "lift", "index"])
def test_a_few_first_ones_are_the_first_of_all(index: Index, sort: str) -> None:
    """Those are not sorted whole."""
    everything = find(index, trigger="x", sort=sort, limit=1000).rows  # type: ignore[arg-type]
    assert find(index, trigger="x", sort=sort, limit=3).rows == everything[:3]  # type: ignore[arg-type]
