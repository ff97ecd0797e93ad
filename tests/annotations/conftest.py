"""An index that a test may annotate, and sheets filled in."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    """A copy of its own: annotations are kept beside an index."""
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    return ffmem.open_index(tmp_path / "index")
