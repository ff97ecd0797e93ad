"""What an index is, and one of its cells."""

import json
from pathlib import Path

import numpy as np

from ffmem.queries import cell
from ffmem.queries.look_up import info
from tests.fixtures.made_index import Document, Layer, make_index


def test_info_is_the_manifest_and_sizes(tmp_path: Path) -> None:
    layers = [Layer(np.ones((9, n))) for n in (4, 7, 3)]
    index = make_index(tmp_path / "i", [Document([["a", "b", "c"]] * 3)], layers)
    found = info(index)
    on_disk = json.loads((index.folder / "manifest.json").read_bytes())
    assert {name: value for name, value in found.items() if name in on_disk} == {
        name: value for name, value in on_disk.items() if name != "files"
    }
    assert (found["n_layers"], found["n_cells"], found["n_model_cells"], found["n_signs"]) == (3, 14, 14, 1)
    assert found["n_bytes"] == sum(path.stat().st_size for path in (index.folder / "index").rglob("*.s*"))
    assert found["cells"] == "1 layers of 4 cells, 1 layers of 7 cells, 1 layers of 3 cells"


def test_a_cell_is_the_reader_s(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a", "b", "c"]] * 3)], [Layer(np.arange(18.0).reshape(9, 2))])
    assert cell(index, "L0.1") == index.cell("L0.1")
    assert cell(index, "L0.1").statistics.maximum == 17
