"""Where things lie in an index folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from ffmem import StoreError
from ffmem.ids import LayerCells
from ffmem.store.paths import StorePaths, layer_path, locked, read_run


def test_everything_lies_in_the_folder(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path)
    names = [path.name for path in (paths.manifest, paths.index, paths.work, paths.lock, paths.run)]
    assert names == ["manifest.json", "index", "work", "lock", "run.json"]
    assert {path.parent for path in (paths.manifest, paths.index, paths.work, paths.lock, paths.run)} == {tmp_path}


def test_layers_have_names_of_their_own() -> None:
    layers = [LayerCells(3, 8), LayerCells(3, 8, stack="enc"), LayerCells(3, 8, stack="dec"), LayerCells(123, 8)]
    names = [layer_path(Path("i"), cells).as_posix() for cells in layers]
    assert names[:2] == ["i/layers/L003.safetensors", "i/layers/enc.L003.safetensors"]
    assert len(set(names)) == 4 and names[3] == "i/layers/L123.safetensors"


def test_one_builder_at_a_time_and_the_next_one_after_it(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from ffmem.store.paths import locked; locked(Path({str(tmp_path)!r})).__enter__()"
    )
    with locked(tmp_path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "is in use by another `ffmem index`" in other.stderr
    with locked(tmp_path):
        pass
    with pytest.raises(StoreError, match="in use"), locked(tmp_path), locked(tmp_path):
        pass


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff"])
def test_a_run_that_is_not_recorded_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    assert read_run(tmp_path) is None


def test_a_recorded_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"runs": [{"n_tokens": 3}]}')
    assert read_run(tmp_path) == {"runs": [{"n_tokens": 3}]}
