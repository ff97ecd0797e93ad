"""The table of cells, as a user asks for it."""

import json
from collections.abc import Callable

from ffmem import Index
from tests.cli.conftest import start_ffmem


def test_the_table_is_that_of_the_query(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    shown, _ = start_ffmem("cells", index.folder, "--sort", "max", "--limit", "3", "--json")
    largest = [float(index.layer(place).maximum.max()) for place in range(index.n_layers)]
    rows = json.loads(shown)
    assert len(rows) == 3
    assert rows[0]["maximum"] == max(largest)
