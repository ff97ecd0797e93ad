"""The file of the labels: held to its index, seen by others at once, and never written half."""

import json
import multiprocessing
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from ffmem import Index, StoreError, open_index
from ffmem.store.labels import open_labels
from tests.store.saying import CELL, OTHER, said, shown


def test_another_index_and_damage_are_refused(gated: Index, tmp_path: Path) -> None:
    gated.names.add([said("by hand"), said("by rule", "rule", OTHER, kind="token", grade="A")])
    other = tmp_path / "other"
    shutil.copytree(gated.folder, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["identity"]["corpus"]["sha256"] = "ee"
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        StoreError, match=r"holds the labels of another index: corpus.sha256 is 'cd' there.*labels remap"
    ):
        open_index(other).names.name(CELL)
    with pytest.raises(StoreError, match="another index"):
        open_index(other).names.add([said("x")])
    taken = open_labels(other, open_index(other).manifest, remap=True)
    assert shown(taken) == "by hand (by hand)" and shown(taken, OTHER) is None
    assert shown(open_index(other).names) == "by hand (by hand)"
    manifest["identity"]["model"]["weights_sha256"] = "ff"
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="other weights"):
        open_labels(other, open_index(other).manifest, remap=True)

    gated.names.path.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        open_index(gated.folder).names.name(CELL)


def test_views_are_refused(gated: Index) -> None:
    gated.names.add([said("x")])
    with sqlite3.connect(gated.names.path) as connection:
        connection.execute(
            "CREATE VIEW endless AS WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x FROM a) SELECT * FROM a"
        )
    connection.close()
    with pytest.raises(StoreError, match="views or triggers"):
        open_index(gated.folder).names.name(CELL)


def test_what_others_write_is_seen_at_once(gated: Index) -> None:
    reader = open_index(gated.folder).names
    assert shown(reader) is None
    gated.names.add([said("one", author="a")])
    assert shown(reader) == "one (by hand)"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(_add, (gated.folder, "two"))
    assert shown(reader) == shown(gated.names) == "two (by hand)"
    for path in gated.folder.glob("labels.*"):
        path.unlink()
    assert shown(reader) is None


def _add(folder: Path, text: str) -> None:
    open_index(folder).names.add([said(text, author="a")])


def test_many_write_at_once_and_nothing_is_lost(gated: Index) -> None:
    def write(number: int) -> None:
        labels = open_index(gated.folder).names
        for i in range(5):
            labels.add([said(f"{number} {i}", author=str(number))])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.text for one in gated.names.labels_of(CELL)} == {f"{a} {b}" for a in range(4) for b in range(5)}
    assert sum(one.is_current for one in gated.names.labels_of(CELL)) == 4
