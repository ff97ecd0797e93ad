"""What is said on the page is kept as it is said, and is what the files say."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ffmem import Index, InputError, StoreError
from ffmem.annotations.batches import Batch, annotations_folder, draw, save_batch
from ffmem.annotations.drafts import MAX_PATTERNS, Draft
from ffmem.annotations.journal import Conflict, Journal, Saved
from ffmem.annotations.protocol import ADJUDICATED, CellAnnotation, Pattern
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
    with pytest.raises(InputError, match="nothing has been changed"):
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
        digest = hashlib.sha256(written).hexdigest()
        connection.execute("UPDATE files SET sha256 = ?, revision = ?", (digest, first.revision))
    assert load(index)[0].patterns[0].text == "first"
    assert journal.current(batch, "ann")[1] == second
    assert load(index)[0].patterns[0].text == "second"  # who asks first writes it


_WORKER = """
import sys, ffmem
from ffmem.annotations.batches import load_batch
from ffmem.annotations.drafts import Draft
from ffmem.annotations.journal import Journal
index = ffmem.open_index(sys.argv[1])
batch, journal = load_batch(index, "b"), Journal(index)
revisions = dict.fromkeys(range(1, len(batch.cells) + 1), 0)
for i in range(100_000):
    number = i % len(batch.cells) + 1
    marks = ((1,),) * len(batch.cells[number - 1].triggers)
    draft = Draft(((f"said {i}", "shallow"),), marks)
    revisions[number] = journal.save(batch, "ann", number, revisions[number], draft).revision
    print(number, i, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(index: Index, batch: Batch) -> None:
    acknowledged: dict[int, int] = {}
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(index.folder)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    for _ in range(40):
        number, said_last = process.stdout.readline().split()
        acknowledged[int(number)] = int(said_last)
    process.kill()  # in the middle of the next one
    for line in process.communicate()[0].splitlines():
        acknowledged[int(line.split()[0])] = int(line.split()[1])
    load(index)  # no file is half written
    now = Journal(index).current(batch, "ann")
    for number, said_last in acknowledged.items():
        text = now[number].draft.patterns[0][0]
        assert int(text.removeprefix("said ")) in (said_last, said_last + len(batch.cells))
    assert [one.patterns[0].text for one in load(index)] == [one.draft.patterns[0][0] for _, one in sorted(now.items())]


def test_redo_goes_forward_again(index: Index, batch: Batch) -> None:
    journal, now = Journal(index), Saved(0, Draft(), False)
    for text in ("one", "two", "three"):
        now = journal.save(batch, "ann", 1, now.revision, said(batch, 1, text))
    assert not now.can_redo
    for _ in range(3):
        now = journal.undo(batch, "ann", 1, now.revision)
    texts = []
    while now.can_redo:
        now = journal.redo(batch, "ann", 1, now.revision)
        texts.append(now.draft.patterns[0][0])
    assert texts == ["one", "two", "three"] == [texts[0], texts[1], load(index)[0].patterns[0].text]
    now = journal.undo(batch, "ann", 1, now.revision)
    assert now.draft.patterns[0][0] == "two" and now.can_redo
    now = journal.save(batch, "ann", 1, now.revision, said(batch, 1, "other"))
    with pytest.raises(InputError, match="nothing has been undone"):
        journal.redo(batch, "ann", 1, now.revision)
    assert journal.undo(batch, "ann", 1, now.revision).draft.patterns[0][0] == "two"


def test_clearing_a_cell_can_be_undone(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    first = journal.save(batch, "ann", 1, 0, said(batch, 1))
    cleared = journal.save(batch, "ann", 1, first.revision, Draft(marks=((),) * len(batch.cells[0].triggers)))
    assert load(index) == [] and cleared.can_undo
    assert journal.undo(batch, "ann", 1, cleared.revision).draft == first.draft


def test_what_an_import_leaves_blank_is_blank(index: Index, batch: Batch, tmp_path: Path) -> None:
    journal = Journal(index)
    for number in (1, 2):
        journal.save(batch, "ann", number, 0, said(batch, number))
    write_sheets(index, batch, ["ann"], tmp_path)
    import_files(index, [fill(tmp_path / "b.ann.csv", seed=3, blank=("2",))], replace=True)
    now = journal.current(batch, "ann")
    assert now[2].draft.empty and now[2].can_undo
    journal.save(batch, "ann", 1, now[1].revision, said(batch, 1, "after it"))
    assert batch.cells[1] not in [one.shown for one in load(index)]


def test_a_file_that_is_taken_away_stays_away(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    first = journal.save(batch, "ann", 1, 0, said(batch, 1))
    (annotations_folder(index) / "b.ann.json").unlink()
    now = journal.current(batch, "ann")[1]
    assert now.draft.empty and load(index) == []
    assert journal.undo(batch, "ann", 1, now.revision).draft == first.draft


def test_cells_of_another_batch_of_that_name_are_kept(index: Index, batch: Batch) -> None:
    other = draw(index, "b", per_layer=2, n_triggers=5, seed=9)
    mine = next(one for one in other.cells if one not in batch.cells)
    n = len(mine.triggers)
    stored = CellAnnotation("b", "ann", mine, (Pattern(1, "x", "shallow"),), (frozenset({1}),) * n)
    save_one(index, "b", "ann", [stored])
    assert Journal(index).current(batch, "ann") == {}
    with pytest.raises(InputError, match="not in this batch"):
        Journal(index).save(batch, "ann", 1, 0, said(batch, 1))
    assert load(index) == [stored]


def test_more_than_the_page_would_take_can_be_imported(index: Index, batch: Batch) -> None:
    n = len(batch.cells[0].triggers)
    patterns = tuple(Pattern(3 * i + 1, "x" * 600, "shallow") for i in range(MAX_PATTERNS + 10))
    stored = CellAnnotation("b", "ann", batch.cells[0], patterns, (frozenset({1, 4}),) * n)
    save_one(index, "b", "ann", [stored])
    for _ in range(2):
        assert Journal(index).current(batch, "ann")[1].draft.marks == ((1, 2),) * n
    assert load(index) == [stored]  # looking changes nothing


def test_what_settles_counts_when_it_is_done(index: Index, batch: Batch) -> None:
    journal = Journal(index)
    half = journal.save(batch, ADJUDICATED, 1, 0, said(batch, 1, done=False))
    assert load(index) == []
    journal.save(batch, ADJUDICATED, 1, half.revision, said(batch, 1))
    assert len(load(index)) == 1
    assert journal.annotators("b") == [ADJUDICATED]


def test_reading_only_writes_nothing(index: Index, batch: Batch, tmp_path: Path) -> None:
    write_sheets(index, batch, ["ann"], tmp_path)
    import_files(index, [fill(tmp_path / "b.ann.csv", seed=3)])
    now = Journal(index, read_only=True).current(batch, "ann")
    assert len(now) == len(batch.cells) and Journal(index, read_only=True).annotators("b") == ["ann"]
    assert not (annotations_folder(index) / "journal.sqlite").exists()


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


def test_a_damaged_journal_is_told(index: Index, batch: Batch) -> None:
    folder = annotations_folder(index)
    (folder / "journal.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"journal\.sqlite"):
        Journal(index).current(batch, "ann")


def test_an_empty_store_has_no_file(index: Index, batch: Batch) -> None:
    assert not save_one(index, "b", "ann", ()).exists()
