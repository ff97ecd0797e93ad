"""Sizes of memory as people write them."""

import re

from ffmem.errors import InputError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


def parse_size(size: object, option: str) -> int:
    """Bytes of a size such as "500MB", "1.5 GB" or "2GiB".

    Args:
        size: the size; letters may be small.
        option: what it was given for, as people write it: "--model-memory".

    Raises:
        InputError: it is no size, or none above 0.
    """
    form = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]{0,3})", size) if isinstance(size, str) else None
    unit = _UNITS.get(form[2].upper()) if form is not None else None
    n_bytes = 0 if form is None or unit is None else int(float(form[1]) * unit)
    if n_bytes < 1:
        raise InputError(
            f"{option} is {size!r}",
            "Expected a size above 0 with a unit: B, KB, MB, GB, TB (powers of 1,000), KiB, MiB, GiB, TiB (of 1,024)",
            f"Write {option} 8GB",
        )
    return n_bytes


def format_size(n_bytes: float) -> str:
    """A size for people."""
    for unit in ("TB", "GB", "MB", "KB"):
        if n_bytes >= _UNITS[unit]:
            return f"{n_bytes / _UNITS[unit]:,.1f} {unit}"
    return f"{n_bytes:,.0f} bytes"
