"""An index of gated cells, written by hand."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from tests.fixtures.made_index import Document, Layer, make_index


def gated_index(folder: Path) -> Index:
    """Four gated cells in each of two layers."""
    text = [["The", " old", " river"], ["a", " river"], ["the", " bank"]]
    table = np.array([[1, -1, 0, 2]] * 7)
    return make_index(folder, [Document(text)], [Layer(table), Layer(table)], gated=True)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return gated_index(tmp_path / "index")
