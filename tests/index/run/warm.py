"""Builds in processes that are forked from one in which everything is imported: they begin at once.

A build is a session of its own, whose workers are forked from it, so that it and they can be killed like those of a shell.
"""

import multiprocessing
import os
import sys
from multiprocessing.context import BaseContext
from pathlib import Path

import ffmem.index.build  # noqa: F401 (imported once, before the fork)
from ffmem.cli import main

_get_context = multiprocessing.get_context


def run(arguments: list[str], stderr: Path) -> None:
    """What `python -m ffmem` with these arguments does, in this process."""
    os.setsid()
    with stderr.open("wb") as file:
        os.dup2(file.fileno(), 2)

    def fork(method: str | None = None) -> BaseContext:
        return _get_context("fork")

    multiprocessing.get_context = fork  # type: ignore[assignment]  # its overloads name each method
    sys.argv = ["ffmem", *arguments]
    main()
