"""One cell's life through training, in words."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import around, called, one_line, width

if TYPE_CHECKING:
    from ffmem.analyses.through_training.life import Life, LifeMoment

_NUMBERS = 64
"""Columns of a line before its trigger."""


def life(found: "Life") -> str:
    """`ffmem trace --cell`."""
    head = f"{'moment':>14}  {'active':>8}  {'before':>6}  {'last':>6}  {'promotes':16}  best trigger"
    notes = (
        "before, last: overlap of its trigger list with that of the moment before, and of the last. * : what it promotes most "
        "follows its best trigger."
    )
    return "\n".join([str(found.cell), head, *(_line(one) for one in found.moments), notes])


def _line(one: "LifeMoment") -> str:
    overlaps = "  ".join(
        f"{'-' if number != number else f'{number:.3f}':>6}" for number in (one.with_previous, one.with_last)
    )
    promotes = f"⟨{one_line(one.top_token)}⟩{'*' if one.agrees else ''}"
    if one.trigger is None:
        text = "never fires"
    else:
        parts = [one_line(part) for part in one.trigger.marked()]
        text = around(parts[0], parts[1], parts[2], max(width() - _NUMBERS, 30))
    return f"{one.moment:>14}  {one.active_fraction:8.2%}  {overlaps}  {promotes:16}  {text}{called(one.name)}"
