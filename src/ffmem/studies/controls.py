"""What a study is held against: the same experiments on models that have learned nothing, or have their memories mixed up.

A control has results of its own, in a folder below those of the study, and so can be read and resumed like any.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ffmem.errors import InputError, StoreError
from ffmem.studies.results import Results, open_results

CONTROLS = "controls"
"""The folder below the results of a study, and the file that says where those of each control are."""

UNTRAINED = "the same model with nothing learned: the entries of each of its parameters in random order"
SHUFFLED = "the same model with its memories mixed up: in each layer the values in random order against the keys"

Shared = TypeVar("Shared")


@dataclass(frozen=True)
class Control(Generic[Shared]):
    """Something that is studied in the place of the model."""

    name: str
    """Of its folder, and of its column."""
    definition: str
    """What it is, in a sentence."""
    begin: Callable[[Shared, Callable[[Any], None]], Shared]
    """From what the experiments of the study share, and a listener, to what those of the control do.

    Raises:
        InputError: the control cannot be made here.
    """
    says_nothing: bool = False
    """Whether what this control shows as well says nothing of what the model has learned."""


@dataclass(frozen=True)
class Made:
    """Where the results of a control are, or why there are none."""

    folder: str = ""
    """From that of the study's results."""
    why_not: str = ""


def keep_made(results: Results, made: dict[str, Made]) -> None:
    """Note where the results of a study's controls are."""
    results.save(CONTROLS, made)


def controls_made(results: Results) -> dict[str, Made]:
    """What is known of a study's controls, by name."""
    return results.load(CONTROLS, dict[str, Made]) if CONTROLS in results else {}


def results_of_control(results: Results, made: Made) -> Results | None:
    """The results of a control, as far as they are there."""
    folder = results.folder / made.folder
    if not made.folder or not folder.is_dir():
        return None
    try:
        return open_results(folder)
    except (InputError, StoreError):
        return None
