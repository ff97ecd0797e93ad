"""Pictures of all cells on disk: whole or absent, and of this index or refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, StoreError
from ffmem.store import files
from ffmem.store.atlas import atlas_path, layouts_of, read_atlas, write_atlas
from tests.fixtures.collected import collected_index
from tests.queries.atlas.made import made_atlas, with_atlas


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


def test_a_picture_is_read_as_it_was_written(index: Index) -> None:
    assert read_atlas(index, "triggers") is None and layouts_of(index) == ()
    atlas = with_atlas(index)
    found = read_atlas(index, "triggers")
    assert found is not None and found.facts == atlas.facts and layouts_of(index) == ("triggers",)
    np.testing.assert_array_equal(found.positions, atlas.positions)
    np.testing.assert_array_equal(found.kept, atlas.kept)
    plain = np.load(index.folder / "atlas" / "triggers.npz")
    assert plain["positions"].dtype == np.dtype("<f4") and plain["positions"].shape == (index.n_cells, 2)
    told = json.loads((index.folder / "atlas" / "triggers.json").read_text())
    assert told["seed"] == 3 and told["kept_by_chance"] == 0.125 and told["index"].startswith("index-")


@pytest.mark.parametrize("stage", ["write", "replace"])
def test_a_kill_while_one_is_written_leaves_the_other(
    index: Index, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = with_atlas(index, seed=1)
    path = atlas_path(index, "triggers")
    whole = path.read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os if stage == "replace" else files, "replace" if stage == "replace" else "sync_folder", die)
    with pytest.raises(KeyboardInterrupt):
        with_atlas(index, seed=2)
    monkeypatch.undo()
    found = read_atlas(index, "triggers")
    assert found is not None
    new = made_atlas(index.n_cells, seed=2).positions
    assert (found.positions == (before.positions if stage == "replace" else new)).all()
    assert (path.read_bytes() == whole) == (stage == "replace")
    (path.parent / ".triggers.npz.left.tmp").write_bytes(whole[:100])  # what a kill at that moment leaves
    with_atlas(index, seed=3)
    assert sorted(one.name for one in path.parent.iterdir()) == ["triggers.json", "triggers.npz"]


def test_that_of_another_index_is_refused(index: Index, tmp_path: Path) -> None:
    other = collected_index(tmp_path / "other", weights="ef")
    with_atlas(other)
    (index.folder / "atlas").mkdir()
    atlas_path(index, "triggers").write_bytes(atlas_path(other, "triggers").read_bytes())
    with pytest.raises(StoreError, match=r"is a picture of the cells of another index.*Make it anew: ffmem atlas"):
        read_atlas(index, "triggers")


def test_a_damaged_one_is_refused(index: Index) -> None:
    atlas = with_atlas(index)
    path = atlas_path(index, "triggers")
    whole = path.read_bytes()
    for damage in (b"", whole[:200], whole[:-40], b"PK" + whole[2:300], b"not an archive" * 50):
        path.write_bytes(damage)
        with pytest.raises(StoreError, match=r"is damaged.*Make it anew"):
            read_atlas(index, "triggers")
    outside = atlas.positions.copy()
    outside[0, 0] = np.nan
    for wrong in (
        replace(atlas, positions=atlas.positions[1:]),
        replace(atlas, positions=outside),
        replace(atlas, facts=replace(atlas.facts, n_cells=1)),
        replace(atlas, facts=replace(atlas.facts, kept="many")),  # type: ignore[arg-type]
    ):
        write_atlas(index, wrong)
        with pytest.raises(StoreError, match="is damaged"):
            read_atlas(index, "triggers")


def test_one_under_another_name_is_refused(index: Index) -> None:
    with_atlas(index)
    atlas_path(index, "values").write_bytes(atlas_path(index, "triggers").read_bytes())
    with pytest.raises(StoreError, match="its facts do not fit"):
        read_atlas(index, "values")
