"""Cells and tables of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ffmem.cell import Cell, Stratum, Trigger
from ffmem.render.terminal import around, called, one_line, tokens, width

if TYPE_CHECKING:
    from ffmem.queries import CellRow

_OF_A_QUADRANT = 3
"""Triggers of a quadrant that are shown."""
_OF_A_STRATUM = 2
"""Positions of a stratum that are shown."""
_LABELS = 6
"""Labels at either end that are shown."""


def cell(found: Cell, n_triggers: int) -> str:
    """`ffmem cell`."""
    stats = found.statistics
    lines = [
        str(found.cell) + "".join(called(one) for one in found.names),
        f"  active at {stats.active_fraction:.2%} of {stats.n_tokens:,} positions; coefficients from "
        f"{stats.minimum:.4g} to {stats.maximum:.4g}, mean {stats.mean:.4g}, root mean square {stats.mean_square**0.5:.4g}",
        f"  promotes    {tokens(found.promoted[:12])}",
        f"  suppresses  {tokens(found.suppressed[:12])}   ({one_line(found.projection)})",
        *labels(found),
    ]
    more = (part(found, n_triggers, width()) for part in (triggers, quadrants, strata))
    return "\n".join([*lines, *(line for part in more for line in part)])


def labels(found: Cell) -> Iterator[str]:
    """A line with what a classifier's cell does to its labels: both ends of them, where there are many."""
    shown = [f"⟨{one_line(one.label)}⟩ {one.score:.4g}" for one in found.labels]
    if len(shown) > 2 * _LABELS:
        shown = [*shown[:_LABELS], "...", *shown[-_LABELS:]]
    if shown:
        yield f"  labels      {'  '.join(shown)}"


def triggers(found: Cell, n: int, width: int) -> Iterator[str]:
    """Lines with the first triggers of a cell, of each sign."""
    for sign in (1, -1):
        shown = [trigger for trigger in found.triggers if trigger.sign == sign and trigger.rank < n]
        if shown and sign == -1:
            yield "  negative coefficients:"
        yield from (trigger_line(trigger, width) for trigger in shown)


def quadrants(found: Cell, n: int, width: int) -> Iterator[str]:
    """Lines with what a cell does in each quadrant, and its first triggers there, a few."""
    for one in found.quadrants:
        told = f": mean {one.mean:.4g}, largest {one.largest:.4g}" if one.n_positions else ""
        yield f"  {one.name} {one.share:8.2%} of positions{told}"
        yield from (trigger_line(trigger, width) for trigger in one.triggers[: min(n, _OF_A_QUADRANT)])


def strata(found: Cell, n: int, width: int) -> Iterator[str]:
    """Lines with how often a cell is how strong, and some positions of each stratum, drawn at random."""
    if found.strata:
        yield "  by strength, at positions drawn at random:"
    for one in found.strata:
        yield f"  {stratum(one):24}{one.n_positions:>12,} positions, {one.share:.2%}"
        yield from (trigger_line(trigger, width) for trigger in one.examples[: min(n, _OF_A_STRATUM)])


def stratum(one: Stratum) -> str:
    """Between which coefficients a stratum lies."""
    if one.sign == 0:
        return "silent"
    side = one.sign
    if not one.low:
        return f"{'below' if side > 0 else 'above'} {side * one.high:.3g}"
    return f"{side * one.low:.3g} to {side * one.high:.3g}"


def trigger_line(trigger: Trigger, width: int) -> str:
    """One line: coefficient, and the text around the firing token, its end always in sight."""
    left, token, right = (one_line(part) for part in trigger.marked())
    return f"  {trigger.coefficient:8.3f}  {around(left, token, right, max(30, width - 12))}"


def cells(rows: "list[CellRow]") -> str:
    """`ffmem cells`."""
    head = f"{'cell':>10}  {'active':>7}  {'mean':>9}  {'min':>9}  {'max':>9}  {'fires on':16}  promotes"
    return "\n".join([head, *(_row(row) for row in rows)])


def _row(row: "CellRow") -> str:
    trigger = "-" if row.trigger is None else f"⟨{one_line(row.trigger)}⟩"
    promoted = " ".join(f"⟨{one_line(token)}⟩" for token in row.promoted)
    return (
        f"{row.cell!s:>10}  {row.active_fraction:7.2%}  {row.mean:9.3g}  {row.minimum:9.3g}  {row.maximum:9.3g}  "
        f"{trigger:16}  {promoted}{called(row.name)}"
    )
