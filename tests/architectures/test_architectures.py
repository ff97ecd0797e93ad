"""ffmem reads every architecture of the zoo right, or says that it does not read it."""

from pathlib import Path

import pytest

from tests.architectures.comparison import compare
from tests.architectures.making import ARCHITECTURES
from tests.architectures.page import NO_MEMORIES, NOT_YET, listed, row_of

REFRESH = "python -m tests.architectures.report --page"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_read_right_or_refused(name: str, tmp_path: Path) -> None:
    outcome = compare(ARCHITECTURES[name], tmp_path)
    if name in NOT_YET and outcome.verdict == "right":
        pytest.fail(f"{name} is read, and right: take it off NOT_YET")
    expected = "refused" if name in NOT_YET.keys() | NO_MEMORIES.keys() else "right"
    assert outcome.verdict == expected, outcome.reason
    row = row_of(name, outcome)
    if row is not None:
        on_page = listed().get(row[0])
        assert on_page is not None and on_page.attention == row[1].attention, f"stale: run {REFRESH}"


def test_the_lists_name_architectures_of_the_zoo() -> None:
    assert ARCHITECTURES.keys() >= NOT_YET.keys() | NO_MEMORIES.keys()
    assert not NOT_YET.keys() & NO_MEMORIES.keys()
