"""Cells and collections completed from what is typed."""

import shutil
from collections.abc import Callable
from pathlib import Path

from ffmem import Index, open_index
from ffmem.names.collections import adding
from ffmem.server.views.completion import Completion, complete
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Item


def test_an_id_is_its_cell_and_a_collection_begins_with_what_was_typed(
    index_of: Callable[[str], Index], tmp_path: Path
) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    index = open_index(tmp_path / "index")
    collections = Collections(index)
    for name in ("rivers", "roads", "stones"):
        collections.change(name, adding(name, collections.origin, [Item(index.cell_id("L1.3"))]))
    assert complete(index, "L1.3") == complete(index, " L1.3*2") == (Completion("L1.3", ""),)
    assert [one.cell for one in complete(index, "@r")] == ["@rivers", "@roads"]
    assert complete(index, "") == complete(index, "L9.9") == complete(index, "a") == complete(index, "@x") == ()
