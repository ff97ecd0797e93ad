"""Libraries that only some installations have."""

from importlib import import_module
from typing import Any

from ffmem.errors import InputError


def extra_module(modules: str | tuple[str, ...], extra: str, what: str) -> Any:
    """A module that comes with one of the package's extras.

    Args:
        modules: its name, or several of which the first that is there is taken.
        extra: the extra that brings it.
        what: what cannot be done without it, for the message.

    Raises:
        InputError: it is not installed; the message says how to.
    """
    for name in (modules,) if isinstance(modules, str) else modules:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise InputError(
        f"{what}: a package that it needs is not installed",
        f"Expected the extra {extra!r} of ffmem",
        f"In its clone, run pip install -e '.[{extra}]'",
    )
