"""Prompts to begin with are beginnings of triggers of named cells, one of a topic."""

from pathlib import Path

import numpy as np

from ffmem import Index
from ffmem.names.people import say
from ffmem.server.explorer import Explorer
from ffmem.server.views.examples import choose_examples, examples
from tests.fixtures.made_index import Document, Layer, make_index

SENTENCES = (
    ("water", ["the ", "old ", "river ", "floods ", "again"]),
    ("trains", ["a ", "slow ", "engine ", "whistles ", "twice"]),
    ("trains", ["one ", "late ", "carriage ", "rattles ", "on"]),
    ("food", ["we ", "all ", "eat ", "of ", "it"]),
)


def made(folder: Path) -> Index:
    """Cell 0 fires on "floods", 1 on "whistles", 2 on "rattles", 3 on "of"."""
    documents = [Document([words], f"d{place}", {"topic": topic}) for place, (topic, words) in enumerate(SENTENCES)]
    table = np.zeros((20, 4))
    for cell in range(4):
        table[5 * cell + 3, cell] = 9 - cell
        table[5 * cell + 1, cell] = 1
    return make_index(folder, documents, [Layer(table)])


def test_there_are_none_without_names(tmp_path: Path) -> None:
    explorer = Explorer(made(tmp_path))
    assert examples(explorer) == () and choose_examples(explorer) == () == examples(explorer)


def test_each_ends_where_a_named_cell_fires_most_and_topics_differ(tmp_path: Path) -> None:
    index = made(tmp_path)
    for row in range(4):
        say(index, index.cells.cell_id(0, row), f"name {row}", author="ann")
    explorer = Explorer(index)
    assert examples(explorer) == ()  # nobody has looked for them yet
    found = choose_examples(explorer)
    assert [(one.text, str(one.cell), one.name.text) for one in found] == [
        ("the old river floods", "L0.0", "name 0"),
        ("a slow engine whistles", "L0.1", "name 1"),  # of cell 2 the topic is the same; cell 3 fires on a short word
    ]
    assert examples(explorer) == found
