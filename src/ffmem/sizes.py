"""Sizes of memory as people write and read them: 8GB is 8,000,000,000 bytes, 8GiB 2^33."""

import re

from ffmem.errors import InputError

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", 1)
    for end, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def parse_size(text: str, flag: str) -> int:
    """Bytes of a size such as "8GB", "1.5 GiB", "500m" or "1000000".

    Args:
        text: what was written.
        flag: the option that it was written for, as in messages.

    Raises:
        InputError: it is no size, or less than a byte.
    """
    form = (
        re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,3})\s*", text.lower()) if isinstance(text, str) else None
    )
    n_bytes = 0 if form is None or form[2] not in _UNITS else int(float(form[1]) * _UNITS[form[2]])
    if n_bytes < 1:
        raise InputError(
            f"{flag} is {text!r}",
            "Expected a size, such as 8GB, 500MB or 7.5GiB",
            f"Write {flag} 8GB",
        )
    return n_bytes


def size_text(n_bytes: float) -> str:
    """A size in words: "1.4 GB", "538 MB", "77 KB"."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:,.1f} GB"
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:,.0f} KB"
