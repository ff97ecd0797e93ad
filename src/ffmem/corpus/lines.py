"""What a line, a blank line and white space are in text: the same for every reader, whatever Python thinks of them."""

import re

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters of Unicode's property White_Space. Python's `str.strip` would take U+001C to U+001F too."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_BLANK_LINES = re.compile(rf"(?:\r\n|\n|\r(?!\n))[{WHITE_SPACE}]*[\r\n]")


def is_blank(text: str) -> bool:
    """Whether a text is nothing but white space."""
    return not text.strip(WHITE_SPACE)


def lines_of(text: str) -> list[str]:
    r"""The lines of a text with their ends, which are \n, \r\n and \r and nothing else; together they are the text."""
    return _LINE.findall(text)


def blank_lines(text: str) -> list[int]:
    """Where each run of blank lines, with the line end before it, stops."""
    return [found.end() for found in _BLANK_LINES.finditer(text)]
