"""What tests of labels share."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture
def gated(tmp_path: Path) -> Index:
    """Four gated cells in each of two layers."""
    text = [["The", " old", " river"], ["a", " river"]]
    table = np.array([[1, -1, 0, 2]] * 5)
    return make_index(tmp_path / "index", [Document(text)], [Layer(table), Layer(table)], gated=True)
