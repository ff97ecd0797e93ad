"""`ffmem name`, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    table = np.array([[1, -1], [2, -2]])
    return make_index(tmp_path / "i", [Document([["a", " b"]])], [Layer(table)], gated=True)


def test_a_name_from_the_command_line(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: object) -> str:
        typed("name", index.folder, *arguments)
        return capsys.readouterr().out.strip()

    assert told("L0.0") == "L0.0: no name"
    assert (
        told("L0.0", "old rivers", "--author", "ann", "--tag", "water", "--tag", "wet")
        == "L0.0  = old rivers (by hand)"
    )
    assert (
        told("L0.1", "dry", "--sign", -1, "--note", "sand") == "L0.1, negative coefficients  = negative: dry (by hand)"
    )
    assert told("L0.0", "--reject", "--note", "no") == "L0.0: no name"
    history = told("L0.0", "--history").splitlines()
    assert "old rivers  [human ann]  rejected" in history[1] and history[2].strip() == "tags: water, wet"
    assert history[3].endswith("me: reject 1: no")
    told("L0.0", "--settle", "--label", 1)
    assert json.loads(told("L0.0", "--json"))["name"]["mark"] == "settled"
    typed("find", index.folder, "--named", "dry")
    assert capsys.readouterr().out.startswith(
        "L0.1, negative coefficients: active at 0.00%  = negative: dry (by hand)\n"
    )
    typed("cells", index.folder, "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"]["text"] for row in rows] == ["old rivers", "dry"]
    typed("cell", index.folder, "L0.1")
    assert capsys.readouterr().out.startswith("L0.1  = negative: dry (by hand)\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("L0.0", "x", "--reject"), "more than one change"),
        (("L0.0", "--reject", "--settle"), "more than one change"),
        (("L0.0", "--label", 1), "--label is given alone"),
        (("L0.0", "--reject"), "has no name"),
        (("L9.0", "x"), "does not exist"),
        (("L0.0", "two\nlines"), "the name of"),
    ],
)
def test_what_makes_no_sense_is_refused(index: Index, arguments: tuple[object, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        typed("name", index.folder, *arguments)
    assert not index.names.path.exists()
