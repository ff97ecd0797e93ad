"""Lines and white space: against Python's own splitting, and against Unicode's list of white space."""

import random
import sys
import unicodedata

import pytest

from ffmem.corpus.lines import WHITE_SPACE, blank_lines, is_blank, lines_of

ALPHABET = "a\r\n\t \x0b\x1c\u2028é"


def random_texts(n: int) -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(0, 12))) for _ in range(n)]


def test_white_space_is_what_unicode_says() -> None:
    """Python's `isspace` is that property and the four separators of information, U+001C to U+001F."""
    by_python = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert set(WHITE_SPACE) == by_python - set("\x1c\x1d\x1e\x1f") and len(WHITE_SPACE) == len(set(WHITE_SPACE))
    separators = {
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Zs", "Zl", "Zp")
    }
    assert separators < set(WHITE_SPACE)


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \t\u3000\x85", True), ("\x1c", False), (" a ", False)])
def test_blank(text: str, blank: bool) -> None:
    assert is_blank(text) is blank


def test_lines_are_those_of_bytes_with_universal_newlines() -> None:
    """`bytes.splitlines` knows \\n, \\r\\n and \\r only."""
    for text in random_texts(3000):
        lines = lines_of(text)
        assert "".join(lines) == text
        assert [line.encode() for line in lines] == text.encode().splitlines(keepends=True)


def test_blank_lines_end_where_a_search_line_by_line_finds_them() -> None:
    for text in random_texts(3000):
        ends, offset, lines, run = [], 0, lines_of(text), False
        for number, line in enumerate(lines):
            blank = is_blank(line) and line[-1] in "\r\n"
            if run and not blank:
                ends.append(offset)
            run = blank and number > 0
            offset += len(line)
        if run:
            ends.append(offset)
        # a run may be followed by white space on the next line, which a match never takes: it stops after a line end
        assert blank_lines(text) == ends, repr(text)
