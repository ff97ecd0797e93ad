"""Damage to what is kept beside an index: each kind is told, and a sound folder has none."""

import sqlite3
from pathlib import Path

import pytest

from ffmem import Index, open_index
from ffmem.ids import CellId
from ffmem.index.verification.names import wrong_names
from ffmem.store.label_rows import NewLabel, Score
from tests.fixtures.collected import collected_index, put
from tests.queries.atlas.made import with_atlas


@pytest.fixture
def index(tmp_path: Path) -> Index:
    index = collected_index(tmp_path / "index")
    by_rule = [NewLabel(CellId(0, i), 1, "rule", f"rule {i}", kind="token", grade="A") for i in range(3)]
    score = Score("f1", 0.7, 0.6, 0.8, 30, 0, "", "")
    index.names.replace_rules(by_rule, [[score]] * 3)
    first = index.names.add([NewLabel(CellId(1, 1), -1, "human", "wind", author="ann", note="why")])[0]
    index.names.add([NewLabel(CellId(1, 2), 1, "human", "no longer", author="ann")])
    index.names.reject(index.names.labels_of(CellId(1, 2))[0].id, "bob")
    index.names.adjudicate(first, "bob")
    put(index, "water", "L0.1", "-L1.2", note="a note")
    return index


def test_a_sound_folder_has_nothing_wrong_whatever_was_said(index: Index) -> None:
    assert list(wrong_names(index)) == []
    bare = collected_index(index.folder.parent / "bare")
    assert list(wrong_names(bare)) == [] and not (bare.folder / "labels.sqlite").exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE names SET text = 'another' WHERE text = 'rule 1'", "1 names are not what follows from the labels"),
        ("UPDATE names SET score = 0.99 WHERE text = 'rule 1'", "1 names are not what follows from the labels"),
        ("DELETE FROM names WHERE text = 'wind'", "1 names are not what follows from the labels"),
        ("UPDATE scores SET value = 0.2", "3 names are not what follows from the labels"),
        ("UPDATE labels SET cell = 'L0.3' WHERE text = 'rule 2'", "label 3 is of L0.3, sign 1, which is not unit 4"),
        ("UPDATE labels SET cell = 'L9.1' WHERE text = 'rule 2'", "label 3 is of L9.1"),
        ("UPDATE labels SET sign = 7 WHERE text = 'rule 2'", "label 3 is of L0.2, sign 7"),
        ("UPDATE labels SET cell = 'river' WHERE text = 'rule 2'", "label 3 is of river"),
        ("UPDATE labels SET tags = '{' WHERE text = 'wind'", "the tags of label 4 are no list"),
        ("DELETE FROM names_text WHERE text = 'wind'", "the words by which names are found"),
        ("UPDATE names_text SET topic = 'music' WHERE text = 'wind'", "the words by which names are found"),
        ("DROP TABLE names_text", "no such table"),
        ("UPDATE about SET value = 'x' WHERE name = 'index'", "holds the labels of another index"),
    ],
)
def test_each_damage_to_the_labels_is_told(damage: str, told: str, index: Index) -> None:
    with sqlite3.connect(index.folder / "labels.sqlite") as database:
        database.execute(damage)
    found = list(wrong_names(open_index(index.folder)))
    assert len(found) == 1 and told in found[0], found


def test_pages_that_are_not_sqlites_are_told(index: Index) -> None:
    path = index.folder / "labels.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    found = list(wrong_names(open_index(index.folder)))
    assert len(found) >= 1 and "labels.sqlite" in found[0], found


def test_each_collection_that_cannot_be_of_this_index_is_told(index: Index) -> None:
    folder = index.folder / "collections"
    text = (folder / "water.json").read_text()
    (folder / "bad.json").write_text("{")
    (folder / "far.json").write_text(text.replace('"water"', '"far"').replace("L0.1", "L0.9"))
    found = list(wrong_names(index))
    assert len(found) == 2 and "the collection bad: " in found[0] and "L0.9" in found[1], found


def test_a_picture_that_is_damaged_is_told(index: Index) -> None:
    with_atlas(index)
    assert list(wrong_names(index)) == []
    path = index.folder / "atlas" / "triggers.npz"
    path.write_bytes(path.read_bytes()[:300])
    (told,) = wrong_names(index)
    assert "triggers.npz is damaged" in told and "ffmem atlas" in told
