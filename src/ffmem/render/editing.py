"""An edit as text: what it was for, and what else it changed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.editing.edit import EditReport, SideEffects
    from ffmem.analyses.intervals import Estimate

_KINDS = {
    "prompt": "efficacy: new above old at the prompt",
    "paraphrase": "paraphrase: the same in other words",
    "neighbour": "neighbourhood: old above new at other subjects",
}
_MOST_FACTS = 20


def edit(report: "EditReport", out: str) -> str:
    """`ffmem edit`: effects, facts, side effects."""
    what = (
        f"{report.method} of {report.n_facts} fact{'' if report.n_facts == 1 else 's'}"
        if report.n_facts
        else report.method
    )
    lines = [f"{report.model}, {what}: values of {', '.join(report.layers) or 'no layer'} change"]
    if report.cells:
        lines.append(f"cells: {one_line(', '.join(report.cells[:30]))}")
    if report.effects:
        lines += ["", f"  {'':48} {'before':>16} {'after':>16} {'told before it':>16}"]
        lines += [
            f"  {_KINDS[one.kind]:48} {_share(one.before):>16} {_share(one.after):>16} {_share(one.prefix):>16}"
            for one in report.effects
        ]
        lines += [f"  {'score: their harmonic mean':48} {'':16} {100 * report.score:>14.1f} %"]
    for one in report.facts[:_MOST_FACTS]:
        lines += [
            "",
            f"  {one_line(one.prompt)}",
            f"    {one_line(one.new.strip())!r}: P {one.new_before:.4f} -> {one.new_after:.4f};  "
            f"{one_line(one.old.strip())!r}: P {one.old_before:.4f} -> {one.old_after:.4f}",
        ]
    if len(report.facts) > _MOST_FACTS:
        lines += ["", f"  and {len(report.facts) - _MOST_FACTS} more facts: --json has all"]
    if report.side is not None:
        lines += ["", *_side(report.side)]
    return "\n".join([*lines, "", f"written: {out}"])


def _share(found: "Estimate") -> str:
    return f"{100 * found.value:.1f} %"


def _side(side: "SideEffects") -> Iterator[str]:
    moved = side.moved
    yield f"what else changes, over all {moved.n_cells:,} cells and {side.n_positions:,} positions of held-out text:"
    yield (
        f"  values           {moved.n_moved:,} move; the change lies in {moved.touched:,.0f} cells; the largest by "
        f"{100 * moved.largest:.2f} % of its length"
    )
    yield (
        f"  activity         {side.n_changed:,} cells are active at more positions or fewer, by {100 * side.rate:.4f} points "
        "on average over all"
    )
    if side.overlap == side.overlap:
        yield f"  strongest        {100 * side.overlap:.2f} % of the ten strongest positions of cells above stay among them"
    yield f"  divergence       {_interval(side.divergence)} nats a position"
    if side.loss.n:
        yield f"  loss             {_interval(side.loss)} nats a token more"
    yield f"  first choice     another one at {_interval(side.other_top, 100)} % of the positions"


def _interval(found: "Estimate", times: float = 1.0) -> str:
    value, low, high = (times * one for one in (found.value, found.low, found.high))
    beside = "" if low != low else f" ({low:.4g} to {high:.4g})"
    return f"{value:.4g}{beside}"
