"""Labels as they are kept: nothing said by people is lost, and nothing that is no label is kept."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, InputError
from ffmem.ids import CellId
from ffmem.store.labels import Conflict
from tests.store.saying import CELL, said, score, shown


def test_history_is_kept_and_rejections_are_rows(gated: Index) -> None:
    first, second = (gated.names.add([said(text, author="a", note="why", tags=("t",))])[0] for text in ("one", "two"))
    gated.names.reject(second, "b", "no river")
    assert shown(gated.names) is None
    history = [
        (one.text, one.superseded_by, one.rejected_by, one.note, one.tags) for one in gated.names.labels_of(CELL)
    ]
    assert history == [("one", second, None, "why", ("t",)), ("two", None, "b", "why", ("t",))]
    gated.names.unreject(second, "b")
    assert shown(gated.names) == "two (by hand)" and first < second
    assert [(one.label, one.what, one.by, one.note) for one in gated.names.events_of(CELL)] == [
        (second, "reject", "b", "no river"), (second, "unreject", "b", "")
    ]  # fmt: skip


def test_names_by_rule_are_replaced_but_not_what_people_said_of_them(gated: Index) -> None:
    labels = gated.names
    cells = [CellId(0, i) for i in range(4)]
    old = [said(f"old {i}", "rule", cell, kind="token", grade="A") for i, cell in enumerate(cells)]
    assert labels.replace_rules(iter(old), [[score(0.6, "f1")]] * 4) == 4
    numbers = [labels.labels_of(cell, 1)[0].id for cell in cells]
    labels.reject(numbers[0], "a")
    labels.reject(numbers[1], "a")
    labels.adjudicate(numbers[2], "a")
    labels.add([said("by a model", "lm", cells[3], author="m")])
    texts = ["old 0", "new 1", "new 2", "new 3"]
    labels.replace_rules(
        said(text, "rule", cell, kind="token", grade="B") for text, cell in zip(texts, cells, strict=True)
    )
    assert [shown(labels, cell) for cell in cells] == [
        None, "new 1 (rule B)", "old 2 (settled, rule A)", "new 3 (rule B)"
    ]  # fmt: skip
    assert labels.scores_of(numbers[2])[numbers[2]] == [score(0.6, "f1")] and labels.scores_of(numbers[3]) == {
        numbers[3]: []
    }
    assert [one.text for one in labels.labels_of(cells[3])] == ["by a model", "new 3"]
    labels.replace_rules([])
    assert [shown(labels, cell) for cell in cells] == [None, None, "old 2 (settled, rule A)", "by a model (guess, lm)"]
    assert [(one.text, one.rejected_by) for one in labels.labels_of(cells[0], 1)] == [("old 0", "a"), ("old 0", "a")]


@given(st.text(), st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_label_is_kept_to_the_letter(
    gated: Index, text: str, note: str, tags: list[str], evidence: dict[str, Any]
) -> None:
    new = said(text, kind=note, evidence=evidence, author=text, note=note, tags=tuple(tags))
    (number,) = gated.names.add([new])
    kept = gated.names.label(number)
    assert {name: getattr(kept, name) for name in new.__dataclass_fields__} == {
        name: getattr(new, name) for name in new.__dataclass_fields__
    }


def test_what_is_no_label_is_refused_and_nothing_is_kept(gated: Index) -> None:
    bad = [
        (said("x", cell=CellId(2, 0)), "cell L2.0 does not exist"),
        (said("x", sign=2), "sign 2 of L0.1 does not exist"),
        (said("x", "robot"), "the source of a label is 'robot'"),
        (said("x", grade="D"), "the grade of a label is 'D'"),
        (said("\ud800"), "half of a character"),
    ]
    for label, problem in bad:
        with pytest.raises(InputError, match=problem):
            gated.names.add([said("good"), label])
    assert list(gated.names.all_labels()) == []
    with pytest.raises(InputError, match="there is no label 7"):
        gated.names.reject(7, "a")
    (number,) = gated.names.add([said("good")])
    with pytest.raises(InputError, match="nobody is named"):
        gated.names.reject(number, " ")


def test_a_change_on_an_old_revision_is_refused(gated: Index) -> None:
    before = gated.names.revision(CELL)
    (number,) = gated.names.add([said("one", author="a")], on={(CELL, 1): before})
    with pytest.raises(Conflict):
        gated.names.add([said("two", author="b")], on={(CELL, 1): before})
    after = gated.names.revision(CELL)
    gated.names.reject(number, "a", on=after)
    with pytest.raises(Conflict):
        gated.names.adjudicate(number, "a", on=after)
    assert [one.text for one in gated.names.labels_of(CELL)] == ["one"] and shown(gated.names) is None
