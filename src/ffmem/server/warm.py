"""What the first visitor would wait for, done in the background when the explorer starts."""

import logging
from collections.abc import Callable
from threading import Thread

from ffmem.errors import FfmemError
from ffmem.server.explorer import Explorer
from ffmem.server.views.examples import choose_examples
from ffmem.server.views.overview import choose_highlights, overview_view
from ffmem.server.views.search import warm_search

STEPS: tuple[Callable[[Explorer], object], ...] = (
    lambda explorer: overview_view(explorer, wait=False), warm_search, choose_examples, choose_highlights, overview_view,
)  # fmt: skip
"""Each keeps its result in the explorer; one that fails fails again, with its message, for who asks. What is quick, and what a
search needs, comes first; the last reads the report of a study, for which it loads torch."""


def warm(explorer: Explorer) -> Thread:
    """Begin; the thread ends with the process."""
    explorer.warming = True
    thread = Thread(target=_run, args=(explorer,), name="warm", daemon=True)
    thread.start()
    return thread


def _run(explorer: Explorer) -> None:
    try:
        for step in STEPS:
            try:
                step(explorer)
            except FfmemError as error:
                logging.getLogger(__name__).info("%s", error)
    finally:
        explorer.warming = False
