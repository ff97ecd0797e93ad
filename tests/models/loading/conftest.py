"""What the tests of loading share."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

CopyOf = Callable[[str], Path]


@pytest.fixture
def copy_of(tiny_folder: Callable[[str], Path], tmp_path: Path) -> CopyOf:
    """The folder of a variant that one may change."""
    return lambda variant: Path(shutil.copytree(tiny_folder(variant), tmp_path / variant))
