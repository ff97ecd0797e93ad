"""The application that every command belongs to, and what the commands share."""

import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import App, Parameter, Token, convert
from cyclopts.validators import Number

from ffmem.errors import InputError
from ffmem.json_values import visible_json_text
from ffmem.version import __version__

_NO_TEXT = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)


def _read(type_: Any, tokens: Sequence[Token]) -> Any:
    """An argument's value: as cyclopts has it, which would round 1.5 where a whole number is meant."""
    for token in tokens:
        if _NO_TEXT.search(token.value) and not os.path.lexists(token.value):  # a file may have any name
            raise InputError(
                f"an argument has bytes that are not UTF-8: {token.value[:100]!r}",
                "Expected text in UTF-8, or the name of an existing file",
                "Set the terminal to UTF-8 (LANG=C.UTF-8), or convert the text: iconv -f LATIN1 -t UTF-8",
            )
    choices = next((get_args(one) for one in (type_, *get_args(type_)) if get_origin(one) is Literal), ())
    for token in tokens:
        if choices and token.value not in choices:
            raise InputError(
                f"{token.keyword} is {token.value!r}",
                f"Expected one of: {', '.join(map(str, choices))}",
                f"Write {token.keyword} {choices[0]}",
            )
    if type_ in (int, int | None) and any(not _WHOLE.fullmatch(token.value) for token in tokens):
        raise ValueError(f'Expected a whole number, not "{tokens[0].value}".')
    return convert(type_, tokens)


app = App(
    name="ffmem",
    help="Read a Transformer's feed-forward layers as key-value memories.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=(), converter=_read),
    suppress_keyboard_interrupt=False,  # main() says how to go on
)

Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.")]
"""Machine-readable output; a verb that prints more than its answer says so in its own words."""
Count = Annotated[int, Parameter(validator=Number(gte=0))]
"""How many there are to be: 0 is a number of them, and -1 is not."""
Some = Annotated[int, Parameter(validator=Number(gte=1))]
"""How many there are to be, at least one."""
Share = Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))]
"""A part of all."""
Seconds = Annotated[float, Parameter(validator=Number(gt=0, lte=1_000_000))]
"""A time to wait."""
FLAT = Parameter(name="*")
"""The fields of an options class become options of the command."""


def show(value: Any) -> None:
    """Print text as it is, anything else as one JSON document."""
    if sys.stdout is None:  # `>&-`
        raise InputError("standard output is closed", "Expected somewhere to print the answer", "Leave >&- out")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without Unicode still gets its answer
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(value if isinstance(value, str) else as_json(value, ascii_only=not _speaks_unicode()))
    sys.stdout.write("\n")


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def as_json(value: Any, ascii_only: bool = False) -> str:
    """One JSON document; numbers that JSON does not have (infinity, NaN) become null."""
    return visible_json_text(value, indent=1, ascii_only=ascii_only)
