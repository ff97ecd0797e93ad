"""What the experiments of the study share."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from ffmem.models.controls import ControlKind
from ffmem.studies.gupta2021.options import TruncationOptions
from ffmem.studies.on_held_out import OnHeldOut
from ffmem.studies.study import StageListener, Subject

NAME = "gupta2021"


class Gupta2021(OnHeldOut):
    """See `OnHeldOut`."""

    name: ClassVar[str] = NAME
    about: ClassVar[str] = "a study of how many cells layers need"
    measured: ClassVar[int] = 1
    of_control: ClassVar[Mapping[str, int]] = {"positions": 500, "layer_positions": 60}
    options: TruncationOptions


def begin(subject: Subject, options: TruncationOptions, _: StageListener) -> Gupta2021:
    """From an index and options to what the experiments share.

    Raises:
        InputError: see `OnHeldOut`.
    """
    return Gupta2021(subject, options)


def control_of(kind: ControlKind) -> Callable[[Gupta2021, StageListener], Gupta2021]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)
