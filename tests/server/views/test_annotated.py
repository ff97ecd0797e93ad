"""Files of annotations are read once, and again when they change."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index, InputError, StoreError
from ffmem.annotations.batches import draw, save_batch
from ffmem.annotations.drafts import Draft
from ffmem.annotations.journal import Journal
from ffmem.annotations.store import load
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.views.annotated import batch_of, said_of, stored_of
from tests.server.conftest import HTML
from tests.server.page import assert_sound


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    opened = ffmem.open_index(tmp_path / "index")
    save_batch(opened, draw(opened, "b", per_layer=1, n_triggers=4, seed=1))
    return opened


def said(index: Index, annotator: str, text: str, revision: int = 0) -> int:
    draft = Draft(((text, "semantic"),), ((1,),) * 4, True)
    saved = Journal(index).save(draw(index, "b", per_layer=1, n_triggers=4, seed=1), annotator, 1, revision, draft)
    return saved.revision


def test_a_batch_is_the_one_on_disk_and_read_once(index: Index) -> None:
    explorer = Explorer(index)
    first = batch_of(explorer, "b", 3)
    assert first.cells == draw(index, "b", per_layer=1, n_triggers=4, seed=1).cells
    assert batch_of(explorer, "b") is first
    key = index.folder / "annotations" / "keys" / "b.json"
    os.utime(key, ns=(1, 1))
    again = batch_of(explorer, "b")
    assert again == first and again is not first


def test_a_batch_that_is_taken_away_is_gone(index: Index) -> None:
    explorer = Explorer(index)
    batch_of(explorer, "b")
    (index.folder / "annotations" / "keys" / "b.json").unlink()
    with pytest.raises(InputError, match="no batch"):
        batch_of(explorer, "b")


@pytest.mark.parametrize("number", [0, -1, 4, 10**9])
def test_a_batch_has_cells_from_1_to_their_number(index: Index, number: int) -> None:
    with pytest.raises(InputError, match=rf"batch 'b' has no cell {number}\. Expected 1 to 3\. Begin at the first one"):
        batch_of(Explorer(index), "b", number)


@pytest.mark.parametrize("name", ["none", "", "../b", "B", "b/../b", "b\x00", "\ud800"])
def test_there_is_no_batch_of_another_name(index: Index, name: str) -> None:
    with pytest.raises(InputError):
        batch_of(Explorer(index), name)


def test_what_is_stored_is_what_the_files_hold_now(index: Index) -> None:
    explorer = Explorer(index)
    assert stored_of(explorer) == [] == load(index)
    revision = said(index, "ann", "water")
    first = stored_of(explorer)
    assert [(one.annotator, one.patterns[0].text) for one in first] == [("ann", "water")]
    assert stored_of(explorer)[0] is first[0]
    said(index, "bob", "fire")
    said(index, "ann", "rivers", revision)
    now = stored_of(explorer)
    assert sorted((one.annotator, one.patterns[0].text) for one in now) == [("ann", "rivers"), ("bob", "fire")]
    assert now == load(index)


def test_a_damaged_file_is_told_each_time_until_it_is_mended(index: Index) -> None:
    explorer = Explorer(index)
    said(index, "ann", "water")
    path = index.folder / "annotations" / "b.ann.json"
    sound = path.read_bytes()
    path.write_bytes(sound[:-20])
    for _ in range(2):
        with pytest.raises((InputError, StoreError), match=r"b\.ann\.json"):
            stored_of(explorer)
    path.write_bytes(sound)
    assert [one.annotator for one in stored_of(explorer)] == ["ann"]


def test_what_was_said_stands_on_the_page_of_the_cell_and_in_its_data(index: Index) -> None:
    said(index, "ann", "<b>boats</b> at sea")
    explorer = Explorer(index)
    (one,) = stored_of(explorer)
    (told,) = said_of(explorer, one.shown.cell)
    n = len({trigger.sentence for trigger in one.shown.triggers})
    assert (told.annotator, told.batch, told.n_triggers, told.n_covered) == ("ann", "b", 4, 4 if n >= 3 else 0)
    assert [(p.text, p.pattern_class, p.n_triggers, p.counts) for p in told.patterns] == [
        ("<b>boats</b> at sea", "semantic", len(set(one.shown.triggers)), n >= 3)
    ]
    client = TestClient(make_app(explorer), base_url="http://localhost")
    address = f"/cells/{one.shown.cell}"
    section = assert_sound(client.get(address, headers=HTML).text).one("section", aria_labelledby="annotated")
    assert "<b>boats</b> at sea" in section.text and "4 triggers carry" in section.words
    assert client.get(f"{address}.json").json()["annotated"][0]["patterns"][0]["text"] == "<b>boats</b> at sea"
    other = next(cell for cell in ("L0.1", "L0.2") if cell != str(one.shown.cell))
    assert said_of(explorer, index.cell_id(other)) == ()
    next((index.folder / "annotations").glob("*.json")).write_text("{")
    assert said_of(Explorer(index), one.shown.cell) == ()  # the page of annotations says what is wrong
