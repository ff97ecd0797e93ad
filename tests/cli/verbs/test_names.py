"""`ffmem names`, as a user types it."""

import json
from pathlib import Path

import pytest

from ffmem import open_index
from ffmem.ids import CellId
from tests.cli.typed import typed
from tests.names.rules.small import small_index


def test_names_are_shown_and_kept_for_the_cells_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, _ = small_index(tmp_path / "index")
    typed("names", index.folder, "--evaluate", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["n_units"] == 6 and told["is_tested"] and not index.names.path.exists()
    typed("names", index.folder, "--cells", "L0.0", "--quiet", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["n_units"], told["n_named"], told["best"][0]["cell"]) == (1, 1, "L0.0")
    assert [cell for cell, _, _ in open_index(index.folder).names.all_names()] == [CellId(0, 0)]
    typed("names", index.folder, "--layers", "L1", "--quiet")
    shown = capsys.readouterr().out
    assert shown.startswith("2 units: 2 named") and "fires on 'king'" in shown
    assert shown.rstrip().endswith(f"2 names in {index.names.path}")
    assert {str(cell) for cell, _, _ in open_index(index.folder).names.all_names()} == {"L0.0", "L1.e0.0", "L1.e1.0"}
    typed("names", index.folder, "--quiet", "--json")
    names = {str(cell): name.text for cell, _, name in open_index(index.folder).names.all_names()}
    assert names["L0.1"] == "dead" and names["L0.0"].startswith("fires on 'king'") and len(names) == 6
