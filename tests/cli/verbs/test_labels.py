"""`ffmem labels`, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError, StoreError, open_index
from ffmem.ids import CellId
from ffmem.store.label_rows import NewLabel
from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    found = make_index(tmp_path / "i", [Document([["a", " b"]])], [Layer(np.array([[1, 1], [2, 3]]))])
    labels = [
        NewLabel(CellId(0, 0), 1, "human", "rivers"),
        NewLabel(CellId(0, 1), 1, "rule", "' b'", "token", grade="A"),
    ]
    found.names.add(labels)
    return found


def test_there_and_back(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("labels", "export", index.folder, tmp_path / "l.jsonl")
    assert capsys.readouterr().out.strip().endswith("l.jsonl: 2 labels")
    typed("labels", "import", index.folder, tmp_path / "l.jsonl")
    assert capsys.readouterr().out == "2 labels read: 0 added, 2 were there already\n"
    typed(
        "labels",
        "export",
        index.folder,
        tmp_path / "n.json",
        "--neuronpedia",
        "--model-id",
        "m",
        "--layer-id",
        "{layer}-x",
    )
    assert [(row["modelId"], row["layer"]) for row in json.loads((tmp_path / "n.json").read_text())] == [
        ("m", "0-x")
    ] * 2
    with pytest.raises(InputError, match="no file is named"):
        typed("labels", "import", index.folder)


def test_an_index_that_was_built_anew(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((index.folder / "manifest.json").read_text())
    manifest["identity"]["corpus"]["sha256"] = "ee"
    (index.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="labels remap"):
        typed("cells", index.folder)
    typed("labels", "remap", index.folder)
    assert capsys.readouterr().out.split() == ["names:", "human", "1"]
    assert [name.text for _, _, name in open_index(index.folder).names.all_names()] == ["rivers"]
