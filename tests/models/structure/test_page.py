"""The page on families lists what the zoo of architectures shows, and no class that transformers does not have.

That each row says what is found, and that none is missing, is tested with the models: see tests/architectures.
"""

import transformers

from ffmem.models.registry import FAMILIES
from tests.architectures.making import ARCHITECTURES
from tests.architectures.page import PAGE, listed, refused_rows


def test_the_page_lists_classes_that_no_file_names() -> None:
    rows = listed()
    assert len(rows) >= 95 and list(rows) == sorted(rows, key=str.lower)
    assert not [name for name in rows if not hasattr(transformers, name)]
    assert not {name for family in FAMILIES for name in family.architectures} & rows.keys()


def test_every_example_is_of_the_zoo() -> None:
    known = {(one.year, one.hub) for one in ARCHITECTURES.values()}
    assert {(row.year, row.hub) for row in listed().values()} <= known


def test_what_is_refused_is_told_with_its_reason() -> None:
    assert refused_rows() in PAGE.read_text(), "stale: run python -m tests.architectures.report --page"
