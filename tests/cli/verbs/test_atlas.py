"""`ffmem atlas`, as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries.atlas.points import cells_within
from ffmem.store.atlas import read_atlas
from tests.cli.typed import typed
from tests.fixtures.collected import collected_index
from tests.queries.atlas.made import with_atlas


def test_a_picture_is_made_and_told_of(
    index_of: Callable[[str], Index], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("umap", reason="layouts need the extra atlas")
    index = collected_index(tmp_path / "index")
    typed("atlas", index.folder, "--neighbours", "2", "--seed", "5")
    said = capsys.readouterr()
    assert said.err.startswith("7 cells by triggers: about ") and "GB" in said.err.splitlines()[0]
    assert said.out.startswith("7 cells by triggers, seed 5, in ") and "neighbours kept: " in said.out
    assert "2 cells are like no other" not in said.out and "1 cells are like no other" in said.out
    made = read_atlas(index, "triggers")
    assert made is not None and made.facts.seed == 5 and np.isnan(made.kept[6])
    typed("atlas", index.folder, "--neighbours", "2", "--seed", "5", "--json")
    told = json.loads(capsys.readouterr().out)
    again = read_atlas(index, "triggers")
    assert told["kept"] == made.facts.kept and again is not None
    np.testing.assert_array_equal(again.positions, made.positions)


def test_the_cells_in_an_outline_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = collected_index(tmp_path / "index")
    with pytest.raises(InputError, match="there is no picture"):
        typed("atlas", index.folder, "--within", "0,0,1,1")
    with_atlas(index)
    typed("atlas", index.folder, "--within", "0,0,0.6,1.1", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [one["cell"] for one in told] == list(map(str, cells_within(index, "triggers", "0,0,0.6,1.1")))
