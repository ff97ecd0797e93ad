"""What the tests of written text share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ffmem.index.text.writer import TextCounts
from tests.fixtures.written_text import write_documents


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, TextCounts]]:
    """Writes the text of documents into a new folder."""
    return partial(write_documents, tmp_path)
