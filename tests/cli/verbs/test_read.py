"""The verbs that read an index, as a user runs them."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index
from ffmem.cli.verbs.read import info
from ffmem.errors import StoreError
from tests.cli.conftest import start_ffmem


def test_a_cell_is_shown_in_three_tenths_of_a_second_or_three_imports_of_numpy(
    index_of: Callable[[str], Index],
) -> None:
    index = index_of("gpt2")
    shown, started = [], []
    for _ in range(5):  # both in turn, so that a busy machine slows both
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", "import numpy"], check=True)
        started.append(time.monotonic() - begin)
        begin = time.monotonic()
        start_ffmem("cell", index.folder, "L0.0")
        shown.append(time.monotonic() - begin)
    assert min(shown) < max(0.3, 3 * min(started)), (shown, started)
    queries = []
    for i in range(20):
        begin = time.monotonic()
        index.cell(f"L0.{i}")
        queries.append(time.monotonic() - begin)
    assert sorted(queries)[10] < 0.01, queries


def test_a_cell_waits_for_no_other_question(index_of: Callable[[str], Index]) -> None:
    shown = "import atexit, sys; from ffmem.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    arguments = ["cell", str(index_of("gpt2").folder), "L0.0"]
    out = subprocess.run([sys.executable, "-c", shown, *arguments], capture_output=True, text=True, check=True).stdout
    imported = set(out.splitlines()[-1].split())
    assert "ffmem.render.cells" in imported
    for name in ("torch", "numba", "filelock", "zipfile", "concurrent.futures", "urllib.request"):
        assert name not in imported
    assert {name for name in imported if name.startswith("ffmem.queries.")} == {"ffmem.queries.look_up"}
    assert not any(name.startswith(("ffmem.names", "ffmem.index", "ffmem.analyses")) for name in imported)


def test_info_of_a_model_says_how_a_model_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StoreError) as refused:
        info(str(tmp_path))
    assert refused.value.mend.endswith(f"if {tmp_path} is a model: ffmem info {tmp_path} --structure")
    (tmp_path / "work").mkdir()
    with pytest.raises(StoreError, match="is not finished") as unfinished:
        info(str(tmp_path))
    assert "--structure" not in unfinished.value.mend
