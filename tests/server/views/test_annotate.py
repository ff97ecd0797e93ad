"""Annotation in the page: who is how far, what too few triggers carry, what is left to settle, and blindness."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffmem
from ffmem import Index, InputError
from ffmem.annotations.batches import Batch, draw, save_batch
from ffmem.annotations.drafts import Draft
from ffmem.annotations.journal import Saved
from ffmem.annotations.protocol import ADJUDICATED, ShownCell, ShownTrigger
from ffmem.ids import CellId
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.annotate import (
    ShownPrefix,
    WorkView,
    annotations_view,
    check_writable,
    first_undone,
    invalid_of,
    journal_of,
    work_view,
)
from tests.server.arrays import layer_arrays, token_arrays
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape


@pytest.fixture
def explorer(index_of: Callable[[str], Index], tmp_path: Path) -> Explorer:
    """With a batch "b" of two cells of each layer, five triggers each."""
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    index = ffmem.open_index(tmp_path / "index")
    save_batch(index, draw(index, "b", per_layer=2, n_triggers=5, seed=3))
    return Explorer(index)


def batch(explorer: Explorer) -> Batch:
    return draw(explorer.index, "b", per_layer=2, n_triggers=5, seed=3)


def say(explorer: Explorer, annotator: str, number: int, draft: Draft) -> Saved:
    revision = work_view(explorer, "b", annotator, number).saved.revision
    return journal_of(explorer).save(batch(explorer), annotator, number, revision, draft)


def about(text: str, marks: tuple[tuple[int, ...], ...] = ((1,),) * 5, done: bool = True) -> Draft:
    return Draft(((text, "semantic"),), marks, done)


def drawn_work(explorer: Explorer, view: WorkView) -> Element:
    here = f"/annotate/{view.batch}/{view.annotator}/{view.number}"
    return assert_sound(
        render("annotate-cell.html", Links(), explorer=explorer, here=here, view=view, theirs=view.saved.draft)
    )


def test_progress_is_counted_for_each_annotator(explorer: Explorer) -> None:
    for number in (1, 2, 4):
        say(explorer, "ann", number, about("water"))
    say(explorer, "ann", 3, about("half", done=False))
    say(explorer, "bob", 1, about("water"))
    view = annotations_view(explorer)
    (told,) = view.batches
    assert [(one.annotator, one.n_done, one.n_begun, one.n_cells, one.next) for one in told.progress] == [
        ("ann", 3, 1, 6, 3), ("bob", 1, 0, 6, 2)
    ]  # fmt: skip
    assert first_undone(explorer, "b", "ann") == 3 and first_undone(explorer, "b", "eve") == 1
    page = assert_sound(render("annotate.html", Links(), explorer=explorer, here="/annotate", view=view))
    bars = [(one.attributes["value"], one.attributes["max"]) for one in page.all("progress")]
    assert bars == [("3", "6"), ("1", "6")]
    assert [one.attributes["href"] for one in page.one("ul", class_="progress").all("a")] == [
        "/annotate/b/ann/3", "/annotate/b/bob/2"
    ]  # fmt: skip
    for number in (3, 5, 6):
        say(explorer, "ann", number, about("water"))
    assert first_undone(explorer, "b", "ann") == 1  # all are done


def test_nothing_tells_which_cell_it_is(explorer: Explorer) -> None:
    tokens = token_arrays(explorer.index.folder)
    for number, shown in enumerate(batch(explorer).cells, 1):
        view = work_view(explorer, "b", "ann", number)
        place, row = int(str(shown.cell)[1]), shown.cell.index
        arrays = layer_arrays(explorer.index.folder, place)
        texts = {one.before + one.firing for one in view.triggers}
        stored = set()
        for token in arrays["trigger_token"][row, 0, :5].tolist():
            sentence = int((tokens["sentence_start"] <= token).sum()) - 1
            data = explorer.index.text.sentence(sentence).text.encode()
            stored.add(data[: int(tokens["token_end"][token])].decode().rstrip())
        assert texts == stored
        told = drawn_work(explorer, view).one("main").text + str(view.to_json())
        assert str(shown.cell) not in told
        for coefficient in arrays["trigger_coefficient"][row, 0, :5].tolist():
            assert f"{coefficient:.3f}" not in told


def test_cells_follow_one_another(explorer: Explorer) -> None:
    for number in (1, 3, 6):
        view = work_view(explorer, "b", "ann", number)
        assert (view.previous, view.next) == (number - 1 or None, None if number == 6 else number + 1)
        links = drawn_work(explorer, view).one("nav", class_="beside").all("a")
        beside = [f"/annotate/b/ann/{one}" for one in (view.previous, view.next) if one]
        assert [one.attributes["href"] for one in links if "rel" in one.attributes] == beside


@given(
    sentences=st.lists(st.sampled_from("abc"), min_size=1, max_size=7),
    marks=st.lists(st.sets(st.integers(1, 3)), min_size=7, max_size=7),
)
def test_a_pattern_needs_triggers_of_three_different_sentences(sentences: list[str], marks: list[set[int]]) -> None:
    triggers = tuple(ShownTrigger(i, 0, text, text) for i, text in enumerate(sentences))
    one = Batch("b", 0, (ShownCell(CellId(0, 0), 1, triggers),))
    draft = Draft((("a", ""), ("b", ""), ("c", "")), tuple(tuple(sorted(m)) for m in marks[: len(sentences)]), False)
    expected = []
    for pattern in (1, 2, 3):
        carried_by = set()
        for text, its in zip(sentences, draft.marks, strict=True):
            if pattern in its:
                carried_by.add(text)
        if len(carried_by) < 3:
            expected.append(pattern)
    assert list(invalid_of(one, 1, draft)) == expected


def test_who_settles_sees_what_the_others_said_and_begins_with_what_they_share(explorer: Explorer) -> None:
    say(explorer, "ann", 2, about("water"))
    say(explorer, "bob", 2, about("rivers", ((1,), (1,), (1,), (1,), ())))
    say(explorer, "ann", 5, about("water"))
    say(explorer, "bob", 5, about("water"))
    (told,) = annotations_view(explorer).batches
    assert (told.n_to_settle, told.n_settled) == (1, 0) and first_undone(explorer, "b", ADJUDICATED) == 2
    view = work_view(explorer, "b", ADJUDICATED, 2)
    assert view.settles and view.numbers == (2,) and (view.previous, view.next, view.n_cells) == (None, None, 1)
    assert view.triggers[4].said == "ann: 1; bob: 0" and view.triggers[0].said == ""
    assert view.saved.revision == 0 and view.saved.draft.patterns[0][0] in ("water", "rivers")
    assert "settle it" in drawn_work(explorer, view).one("h1").text
    ann = work_view(explorer, "b", "ann", 2)
    assert not ann.settles and ann.said == () and {one.said for one in ann.triggers} == {""}
    say(explorer, ADJUDICATED, 2, about("water"))
    assert annotations_view(explorer).batches[0].n_settled == 1
    assert first_undone(explorer, "b", ADJUDICATED) == 2  # the first again: all are settled


def test_agreement_and_labels_come_with_the_words_that_say_why_not(explorer: Explorer) -> None:
    before = annotations_view(explorer)
    assert before.agreement is None and before.summary is None
    page = assert_sound(render("annotate.html", Links(), explorer=explorer, here="/annotate", view=before))
    assert before.why_no_agreement in page.words and before.why_no_summary in page.words
    for annotator in ("ann", "bob"):
        for number in range(1, 7):
            say(explorer, annotator, number, about("water"))
    view = annotations_view(explorer)
    assert view.agreement is not None and view.agreement.n_cells == 6 and view.agreement.pairs[0].matched_fraction == 1
    assert view.summary is not None and view.summary.all_layers.shares["semantic"].value == 1
    page = assert_sound(render("annotate.html", Links(), explorer=explorer, here="/annotate", view=view))
    rows = page.one("section", aria_labelledby="labels").all("table")[0].rows()
    assert [row[0] for row in rows] == ["all", "L2", "L1", "L0"] and {row[-1] for row in rows} == {"6", "2"}
    assert "why_no_summary" not in view.to_json() and view.to_json()["machine"] == {}


def test_a_read_only_explorer_shows_and_refuses(explorer: Explorer) -> None:
    say(explorer, "ann", 1, about("water"))
    reading = Explorer(explorer.index, read_only=True)
    check_writable(explorer)
    with pytest.raises(InputError, match=r"read-only\. Expected one that may write\. Ask whoever started it"):
        check_writable(reading)
    view = work_view(reading, "b", "ann", 1)
    assert view.saved.draft.patterns == (("water", "semantic"),) and not view.saved.can_undo
    page = assert_sound(
        render("annotate.html", Links(), explorer=reading, here="/annotate", view=annotations_view(reading))
    )
    assert [one for one in page.all("form") if "annotate" in one.attributes.get("action", "")] == []


def test_names_and_numbers_that_are_none_are_refused(explorer: Explorer) -> None:
    for name, annotator, number in (
        ("b", "Ann", 1),
        ("b", "", 1),
        ("none", "ann", 1),
        ("b", "ann", 7),
        ("b", "ann", 0),
    ):
        with pytest.raises(InputError, match="Expected"):
            work_view(explorer, name, annotator, number)


def test_prefixes_and_what_is_said_of_them_stay_text(explorer: Explorer) -> None:
    view = work_view(explorer, "b", "ann", 1)

    def with_text(text: str) -> WorkView:
        draft = Draft(((text, "shallow"), ("b", "")), ((1,),), False)
        triggers = (ShownPrefix(text, text, text or "x"),)
        return replace(view, saved=Saved(3, draft, True), triggers=triggers, said=(text,), invalid=())

    expected = shape(drawn_work(explorer, with_text("x")))

    @FEW
    @given(text=HOSTILE)
    def check(text: str) -> None:
        page = drawn_work(explorer, with_text(text))
        assert shape(page) == expected
        assert page.by_id("text-1").attributes["value"] == text
        prefix = page.by_id("triggers").one("div", class_="text")
        assert prefix.text == text * 2 and prefix.one("mark").text == text
        assert [one.text for one in page.all("p", class_="said")] == [text, text or "x"]
        assert page.one("div", role="alert").one("ol").all("li")[0].text == f"{text} (shallow): triggers 1 "
        ticked = [one.attributes["name"] for one in page.all("input", type="checkbox") if "checked" in one.attributes]
        assert ticked == ["mark-1-1"]

    check()
