"""Options of studies that are counts: refused where they are none."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ffmem.errors import InputError


def check_whole_numbers(options: Any, least: Mapping[str, int] = {}) -> None:
    """Refuse options that are typed as int and are no whole number, or too small a one.

    Args:
        options: a dataclass.
        least: the least that an option may be; of others 1, of a seed 0.

    Raises:
        InputError: one is not; it is called as on the command line.
    """
    for field in fields(options):
        value, low = getattr(options, field.name), {"seed": 0, **least}.get(field.name, 1)
        if field.type is int and (isinstance(value, bool) or not isinstance(value, int) or value < low):
            flag = "--" + field.name.replace("_", "-")
            raise InputError(
                f"{flag} is {value!r}",
                f"Expected a whole number of at least {low}",
                f"Write {flag} {field.default}",
            )
