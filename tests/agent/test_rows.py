"""Short rows: where the marks stand, and what is left out of a name that is none."""

from ffmem.agent.rows import active_row, name_of, trigger_row
from ffmem.analyses.activation import ActiveCell
from ffmem.cell import Document, Name, Trigger
from ffmem.ids import CellId


def test_the_firing_token_stands_between_marks_of_its_own() -> None:
    text = "a [b] naïve cell"
    start = len(b"a [b] ")
    span = (start, start + len("naïve".encode()))
    trigger = Trigger(-1, 2, -0.5, 7, 3, (), text, span, None, 1, Document(0, "d", {}))
    assert trigger_row(trigger) == {
        "sign": -1,
        "rank": 2,
        "coefficient": -0.5,
        "text": "a [b] ⟦naïve⟧ cell",
        "sentence_id": 7,
        "document": "d",
    }
    active = ActiveCell(CellId(1, 3), 0.5, 1.0, None, None, ("a [b] ", "[naïve]", " cell"), ("x",) * 9)
    assert active_row(active)["best_trigger"] == "a [b] ⟦naïve⟧ cell" and len(active_row(active)["promoted"]) == 5
    assert active_row(ActiveCell(CellId(1, 3), 0.5, 1.0, None, None, None, ()))["best_trigger"] is None


def test_a_name_says_what_it_rests_on() -> None:
    assert name_of(None) == {}
    assert name_of(Name("rivers", "rule", "rule B", is_guess=True)) == {
        "name": "rivers",
        "name_from": "rule B",
        "name_is_a_guess": True,
    }
