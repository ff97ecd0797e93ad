"""What an experiment that takes long goes on from when it was stopped: its arrays so far, kept every so many seconds."""

import time
from collections.abc import Callable

import numpy as np

from ffmem.studies.results import Results

EVERY_S = 30.0
"""Seconds of work that a stopped experiment may have to do again."""


class Checkpoint:
    """The arrays of one experiment so far, in the folder of its results; they go when its result is there.

    Args:
        results: where they lie.
        experiment: its name.
    """

    def __init__(self, results: Results, experiment: str) -> None:
        self._results, self._name = results, part_of(experiment)
        self._due = time.monotonic() + EVERY_S

    def load(self) -> dict[str, np.ndarray] | None:
        """What was kept last; None for an experiment that begins."""
        return self._results.load_arrays(self._name) if self._results.has_arrays(self._name) else None

    def keep(self, arrays: Callable[[], dict[str, np.ndarray]]) -> None:
        """Keep what there is so far, if it is time; ``arrays`` is asked for it only then."""
        if time.monotonic() >= self._due:
            self._results.save_arrays(self._name, arrays())
            self._due = time.monotonic() + EVERY_S


def part_of(experiment: str) -> str:
    """The name of the arrays of an experiment that is not done."""
    return f"{experiment}.part"
