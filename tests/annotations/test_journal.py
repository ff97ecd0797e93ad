"""What is said on the page is kept as it is said, and is what the files say."""

import threading
from pathlib import Path

import pytest

from ffmem import Index, InputError, StoreError
from ffmem.annotations.batches import Batch, annotations_folder, draw, save_batch
from ffmem.annotations.journal import MAX_PATTERNS, Conflict, Draft, Journal, Saved, draft_of
from ffmem.annotations.store import export, import_files, load, save_one, write_sheets
from tests.annotations.filling import fill


@pytest.fixture
def batch(index: Index) -> Batch:
    found = draw(index, "b", per_layer=2, n_triggers=5)
    save_batch(index, found)
    return found


def said(batch: Batch, number: int, text: str = "water", marks: tuple[int, ...] = (1,), done: bool = True) -> Draft:
    n = len(batch.cells[number - 1].triggers)
    return Draft(((text, "semantic"),), (marks,) * n, done)


def test_what_is_saved_is_what_the_files_say(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    saved = journal.save(batch, "ann", 2, 0, said(batch, 2))
    assert saved.revision > 0 and saved.can_undo
    (one,) = load(index)
    assert (one.annotator, one.shown, one.patterns[0].text) == ("ann", batch.cells[1], "water")
    assert Journal(index).current(batch, "ann") == {2: saved}
    nothing = Draft(marks=((),) * len(batch.cells[0].triggers), done=True)
    journal.save(batch, "ann", 1, 0, nothing)
    assert [one.patterns for one in load(index)] == [(), load(index)[1].patterns]  # done without a pattern counts


def test_a_change_on_an_old_revision_is_refused_and_nothing_is_lost(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    first = journal.save(batch, "ann", 1, 0, said(batch, 1, "mine"))
    with pytest.raises(Conflict) as caught:
        Journal(index).save(batch, "ann", 1, 0, said(batch, 1, "theirs"))
    assert caught.value.current == first
    second = Journal(index).save(batch, "ann", 1, first.revision, said(batch, 1, "both"))
    assert journal.current(batch, "ann")[1] == second


def test_saving_the_same_twice_is_no_conflict(index: Index, batch: Batch) -> None:
    first = Journal(index).save(batch, "ann", 1, 0, said(batch, 1))
    assert Journal(index).save(batch, "ann", 1, 0, said(batch, 1)) == first
    blank = Draft(marks=((),) * len(batch.cells[1].triggers))
    Journal(index).save(batch, "ann", 2, 0, blank)
    assert len(load(index)) == 1


def test_undo_goes_back_step_by_step(index: Index, batch: Batch) -> None:
    journal, now = Journal(index), Saved(0, Draft(), False)
    for text in ("one", "two", "three"):
        now = journal.save(batch, "ann", 1, now.revision, said(batch, 1, text))
    texts = []
    while now.can_undo:
        now = journal.undo(batch, "ann", 1, now.revision)
        texts.append([text for text, _ in now.draft.patterns])
    assert texts == [["two"], ["one"], []]
    assert load(index) == []
    with pytest.raises(InputError, match="nothing was changed"):
        journal.undo(batch, "ann", 1, now.revision)
    journal.save(batch, "ann", 1, now.revision, said(batch, 1, "again"))
    assert load(index)[0].patterns[0].text == "again"


def test_an_import_counts_as_a_change(index: Index, batch: Batch, tmp_path: Path) -> None:
    journal = Journal(index)
    journal.save(batch, "ann", 1, 0, said(batch, 1))
    write_sheets(index, batch, ["ann"], tmp_path)
    import_files(index, [fill(tmp_path / "b.ann.csv", seed=3)], replace=True)
    imported = {one.shown: one for one in load(index)}
    now = journal.current(batch, "ann")
    for number, shown in enumerate(batch.cells, 1):
        assert [text for text, _ in now[number].draft.patterns] == [one.text for one in imported[shown].patterns]
    with pytest.raises(Conflict):
        journal.save(batch, "ann", 1, 1, said(batch, 1, "old tab"))
    assert {one.shown: one for one in load(index)} == imported
    back = journal.undo(batch, "ann", 1, now[1].revision)
    assert back.draft == said(batch, 1)


def test_a_process_that_died_before_it_wrote_the_file_loses_nothing(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    first = journal.save(batch, "ann", 1, 0, said(batch, 1, "first"))
    written = (annotations_folder(index) / "b.ann.json").read_bytes()
    second = journal.save(batch, "ann", 1, first.revision, said(batch, 1, "second"))
    (annotations_folder(index) / "b.ann.json").write_bytes(written)  # as if the second had not come this far
    with journal._transaction() as connection:
        connection.execute("UPDATE written SET sha256 = ?", (__import__("hashlib").sha256(written).hexdigest(),))
    assert journal.current(batch, "ann")[1] == second
    journal.save(batch, "ann", 2, 0, said(batch, 2))
    assert [one.patterns[0].text for one in load(index)] == ["second", "water"]


def test_many_at_a_time(index: Index, batch: Batch) -> None:
    problems: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(1, len(batch.cells) + 1):
                Journal(index).save(batch, name, number, 0, said(batch, number, name))
        except BaseException as error:  # noqa: BLE001 (told below)
            problems.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob", "eve")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not problems
    assert sorted((one.annotator, one.patterns[0].text) for one in load(index)) == sorted(
        (name, name) for name in ("ann", "bob", "eve") for _ in batch.cells
    )


def test_what_is_half_written_is_kept_and_does_not_count(index: Index, batch: Batch, tmp_path: Path) -> None:
    n = len(batch.cells[0].triggers)
    half = Draft((("no class yet", ""), ("whole", "shallow")), ((1, 2),) * n)
    assert Journal(index).save(batch, "ann", 1, 0, half).draft == half
    (one,) = load(index)
    assert [(pattern.number, pattern.text) for pattern in one.patterns] == [(2, "whole")]
    assert one.marks == (frozenset({2}),) * n
    assert export(index, tmp_path / "all.json") == 1
    assert Journal(index).current(batch, "ann")[1].draft == half  # its own file is no import


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "not understood"),
        ({"patterns": [{"text": "x"}], "marks": []}, "not understood"),
        ({"patterns": [], "marks": [[], [1]]}, "pattern 1"),
        ({"patterns": [], "marks": [[]]}, "marks for 1"),
        ({"patterns": [{"text": "x", "class": "odd"}], "marks": [[], []]}, "class of pattern 1"),
        ({"patterns": [{"text": "x" * 501, "class": ""}], "marks": [[], []]}, "501"),
        ({"patterns": [{"text": "x", "class": ""}] * (MAX_PATTERNS + 1), "marks": [[], []]}, "21 patterns"),
    ],
)
def test_what_is_no_draft_is_told(value: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        draft_of(value, 2)


def test_a_damaged_journal_is_told(index: Index, batch: Batch) -> None:
    folder = annotations_folder(index)
    (folder / "journal.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"journal\.sqlite"):
        Journal(index).current(batch, "ann")


def test_an_empty_store_has_no_file(index: Index, batch: Batch) -> None:
    assert not save_one(index, "b", "ann", ()).exists()
