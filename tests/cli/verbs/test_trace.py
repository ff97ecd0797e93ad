"""`ffmem trace`, as a user types it."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ffmem import Index, InputError
from tests.cli.typed import typed
from tests.fixtures.training import DIES

Trained = Callable[[str], Sequence[Index]]


def test_one_cell_needs_no_model(training_of: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [index.folder for index in training_of("wikilm")]
    before = sorted(folders[-1].rglob("*"))
    typed("trace", *folders, "--cell", f"L0.{DIES}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"L0.{DIES}" and [("never fires" in line) for line in lines[2:6]] == [False, True, True, True]
    typed("trace", *folders, "--cell", f"L0.{DIES}", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [one["step"] for one in told["moments"]] == [0, 10, 100, 1000]
    assert told["moments"][0]["with_previous"] is None and told["moments"][1]["trigger"] is None
    assert sorted(folders[-1].rglob("*")) == before  # nothing is written


def test_a_page_beside_the_last_moment(
    training_of: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    *earlier, last = (index.folder for index in training_of("wikilm"))
    last = shutil.copytree(last, tmp_path / "last")
    typed("trace", *earlier, last, "--positions", "100", "--no-controls", "--quiet", "--json")
    told = json.loads(capsys.readouterr().out)
    page = Path(told["page"])
    assert page.is_relative_to(last / "results") and told["study"] == "training"
    assert "Memories from step 0 to step 1,000" in page.read_text()
    rows = (page.parent / "figures" / "cells-through-training.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(layer.n_cells for layer in training_of("wikilm")[0].cells.layers)
    assert rows[0].startswith("cell,triggers settle at,agreement settles at,")
    assert {"settled.csv", "settled.svg", "trigger-overlap.csv", "deaths-and-revivals.csv", "numbers.csv"} <= {
        path.name for path in (page.parent / "figures").iterdir()
    }


def test_what_is_no_training_is_refused(training_of: Trained, index_of: Callable[[str], Index]) -> None:
    first, second, *_ = (index.folder for index in training_of("wikilm"))
    with pytest.raises(InputError, match="1 index is given"):
        typed("trace", first)
    with pytest.raises(InputError, match="is of step 0, and stands behind"):
        typed("trace", second, first)
    with pytest.raises(InputError, match="models of different shapes"):
        typed("trace", first, index_of("llama").folder)
