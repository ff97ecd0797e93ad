"""Text that is put into a page."""

from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.studies.document import BEGIN, END, put_into


def test_what_stands_between_the_marks_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\nBefore\\1.\n{BEGIN}\nold\n{END}\n\nAfter: é.\n", "utf-8")
    for _ in range(2):  # the second time it is as it was
        put_into(page, "| a |\n| --- |\n| \\1 \\g<0> |\n")
        expected = f"# Title\n\nBefore\\1.\n{BEGIN}\n\n| a |\n| --- |\n| \\1 \\g<0> |\n\n{END}\n\nAfter: é.\n"
        assert page.read_text("utf-8") == expected


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN} alone", f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"])
def test_a_page_without_a_place_for_it_is_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match=r"page.md has \d times .*Put both on lines of their own"):
        put_into(page, "tables")
    assert page.read_text() == text
    with pytest.raises(InputError, match=r"other.md cannot be read"):
        put_into(tmp_path / "other.md", "tables")
