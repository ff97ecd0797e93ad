"""Packages that only some installations have."""

from importlib.util import find_spec

from ffmem.errors import InputError


def need(package: str, extra: str) -> None:
    """Go on if a package is installed.

    Args:
        package: its name in Python.
        extra: the extra of ffmem that brings it.

    Raises:
        InputError: it is not installed.
    """
    if find_spec(package) is None:
        raise InputError(
            f"the package {package} is not installed",
            f"Expected ffmem with its extra {extra!r}",
            f"Run: pip install 'ffmem[{extra}]'",
        )
