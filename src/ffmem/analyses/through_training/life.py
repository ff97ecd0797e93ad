"""One cell's life: what it fires on, promotes and is called at each moment of its training. Needs no model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.through_training.lives import active_fraction
from ffmem.analyses.through_training.moments import Moment
from ffmem.analyses.through_training.triggers import overlap, trigger_lists
from ffmem.cell import Name, Trigger
from ffmem.ids import CellId
from ffmem.json_values import Record


@dataclass(frozen=True)
class LifeMoment(Record):
    """A cell at one moment."""

    moment: str
    step: int | None
    active_fraction: float
    """Share of positions with a coefficient above 0."""
    maximum: float
    """Its largest coefficient."""
    trigger: Trigger | None
    """Its best one; of a gated cell the one that is larger in size. None if it never fired."""
    top_token: str
    """The token that its value promotes most."""
    agrees: bool
    """Whether that is the token after the trigger."""
    with_previous: float
    """Overlap of its trigger list with that of the moment before; NaN at the first, and where both are empty."""
    with_last: float
    """With that of the last moment."""
    name: Name | None
    """What it is called there."""


@dataclass(frozen=True)
class Life(Record):
    """A cell through training."""

    cell: CellId
    moments: tuple[LifeMoment, ...]


def life(moments: Sequence[Moment], cell: str | CellId) -> Life:
    """A cell at each moment of its training.

    Args:
        moments: of one training, earliest first: see `moments_of`.
        cell: such as ``L3.17``.

    Raises:
        InputError: there is no such cell.

    Cost: a few rows of each index.
    """
    first = moments[0].index
    cell_id = first.cell_id(cell)
    place, row = first.cells.place(cell_id)
    group_size = first.cells.layers[place].group_size
    lists = [trigger_lists(one.index, place)[row : row + 1] for one in moments]
    rows = []
    for number, one in enumerate(moments):
        found, arrays = one.index.cell(cell_id), one.index.layer(place)
        best = [trigger for trigger in found.triggers if trigger.rank == 0]
        trigger = max(best, key=lambda each: abs(each.coefficient), default=None)
        ends = found.promoted if trigger is None or trigger.sign > 0 else found.suppressed
        with_previous = float(overlap(lists[number - 1], lists[number])[0]) if number else float("nan")
        rows.append(
            LifeMoment(
                moment=one.name,
                step=one.step,
                active_fraction=float(active_fraction(arrays, group_size)[row]),
                maximum=float(np.asarray(arrays.maximum[row])),
                trigger=trigger,
                top_token=ends[0].token if ends else "",
                agrees=bool(trigger is not None and ends and trigger.next_token == ends[0].token),
                with_previous=with_previous,
                with_last=float(overlap(lists[number], lists[-1])[0]),
                name=one.index.names.shown(cell_id),
            )
        )
    return Life(cell_id, tuple(rows))
