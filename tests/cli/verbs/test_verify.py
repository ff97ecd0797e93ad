"""`ffmem verify`, as a user runs it."""

import shutil
from collections.abc import Callable
from pathlib import Path

from ffmem import Index
from tests.fixtures.programs import ffmem


def test_verify_exits_with_1_on_damage(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    layer = tmp_path / "i" / "index" / "layers" / "L000.safetensors"
    data = bytearray(layer.read_bytes())
    data[-5] ^= 1
    layer.write_bytes(data)
    shown, _ = ffmem("verify", tmp_path / "i", "--files-only", expect=1)
    assert "WRONG: index/layers/L000.safetensors has changed" in shown
