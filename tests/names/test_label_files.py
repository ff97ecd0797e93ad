"""Labels as files, and as others write them."""

import json
from pathlib import Path
from typing import Any

import pytest

from ffmem.names.label_files import COLUMNS, read_labels, to_neuronpedia, write_labels


@pytest.mark.parametrize(
    ("layer", "index", "cell"),
    [
        ("7-mlp", "3", "L7.3"),
        ("dec.2-mlp", 5, "dec.L2.5"),
        ("9-mlp-e4", "0", "L9.e4.0"),
        ("12-gemmascope-mlp-16k", "8", "L12.8"),
    ],
)
def test_layers_of_neuronpedia(tmp_path: Path, layer: str, index: Any, cell: str) -> None:
    (tmp_path / "n.json").write_text(json.dumps([{"layer": layer, "index": index, "description": "x"}]))
    assert read_labels(tmp_path / "n.json")[0]["cell"] == cell


def test_a_label_has_every_column_whatever_its_file_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(
        '{"labels": [{"cell": "L0.1", "text": "water", "tags": ["a"], "adjudicated": true}]}'
    )
    (found,) = read_labels(tmp_path / "l.json")
    assert tuple(found) == COLUMNS and (found["sign"], found["source"], found["adjudicated"]) == (1, "human", True)
    write_labels(tmp_path / "l.csv", [{name: found[name] for name in COLUMNS[:-2]}], {"index": "i", "weights": "w"})
    assert read_labels(tmp_path / "l.csv") == [found | {"index": "i", "weights": "w"}]


@pytest.mark.parametrize("cell", ["L7.3", "dec.L2.5", "L9.e4.0", "enc.L0.e1.12", "L9.tc-e4.7", "dec.L3.sae16k.0"])
def test_neuronpedia_names_every_cell(tmp_path: Path, cell: str) -> None:
    row = {"cell": cell, "sign": 1, "source": "human", "text": "x", "author": "a", "note": "n", "scores": []}
    (tmp_path / "n.json").write_text(json.dumps(to_neuronpedia([row], "m", "{layer}-mlp")))
    (found,) = read_labels(tmp_path / "n.json")
    assert (found["cell"], found["text"], found["note"], found["author"]) == (cell, "x", "n", "a")
