"""The flow of a prediction from the command line, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ffmem import Index
from tests.fixtures.programs import ffmem

TEXT = "the cat sat on the"


def test_an_index_is_asked_by_its_own_model(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    found = json.loads(ffmem("flow", index_of("gpt2").folder, TEXT, "--share", 0.5, "--pin", "L1.7", "--json")[0])
    other = json.loads(ffmem("explain", tiny_folder("gpt2"), TEXT, "--json")[0])
    assert found["flow"]["score"] == pytest.approx(other["score"], abs=1e-5)
    assert found["drawn"]["total"] == pytest.approx(other["score"], abs=1e-4) and found["drawn"]["both"] >= 0.5
    assert [one["cell"]["cell"] for one in found["flow"]["fired"]] == ["L1.7"]
    cells = [one for one in found["drawn"]["shown"] if one["cell"]]
    assert cells and all(one["cell"]["promoted"] for one in cells)


def test_the_picture_and_everything_are_written(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    picture, data = tmp_path / "flow.svg", tmp_path / "flow.json"
    told, _ = ffmem("flow", tiny_folder("gpt2"), TEXT, "--out", picture)
    assert f"written: {picture}" in told and "it differs from the score by" in told
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    ffmem("flow", tiny_folder("gpt2"), TEXT, "--at", 1, "--out", data)
    written = json.loads(data.read_text())
    own = written["flow"]["tokens"][written["flow"]["n_before"] :]
    assert len(own) == 2 and written["drawn"]["total"] == pytest.approx(written["flow"]["score"], abs=1e-4)


def test_what_does_not_fit_is_told(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = index_of("gpt2").folder
    for arguments, told in (
        (("--out", tmp_path / "flow.png"), "ends with .svg or .json"),
        (("--out", tmp_path / "nowhere" / "flow.svg"), "cannot be written"),
        (("--index", folder), "Expected no --index"),
        (("--dtype", "bfloat16"), "Expected no --dtype beside it"),
        (("--pin", "L77.1"), "L77"),
    ):
        _, wrong = ffmem("flow", folder, TEXT, *arguments, expect=2)
        assert told in wrong
