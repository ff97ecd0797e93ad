"""Keeps the progress bars and notes of transformers and accelerate, which are about their own affairs, off the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from typing import Any

from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Without them inside, as it was afterwards."""
    settings: Any = logging  # its functions have no types
    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    spreads = getLogger("accelerate")
    level = spreads.level
    settings.set_verbosity_error()
    settings.disable_progress_bar()
    spreads.setLevel(ERROR)
    try:
        yield
    finally:
        settings.set_verbosity(verbosity)
        spreads.setLevel(level)
        if bars:
            settings.enable_progress_bar()
