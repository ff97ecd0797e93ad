"""The cells that a text activates."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import one_line, width

if TYPE_CHECKING:
    from ffmem.analyses.activation import Activation, ActiveCell


def activation(found: "Activation") -> str:
    """`ffmem activate`: a token a paragraph, a cell a line."""
    lines = []
    for token in found.tokens:
        lines.append(f"⟨{one_line(token.token)}⟩")
        lines += [_line(one) for one in token.cells]
    return "\n".join(lines)


def _line(one: "ActiveCell") -> str:
    share = "" if one.share is None else f"{one.share:5.0%} of its largest"
    head = f"  {one.cell!s:>12} {one.coefficient:9.3f}  adds {one.norm:8.3f}  {share}"
    trigger = "" if one.trigger is None else f"  {one_line(one.trigger)}"
    promoted = "".join(f" ⟨{one_line(token)}⟩" for token in one.promoted[:3])
    room = max(20, width() - len(head) - len(promoted) - 2)
    trigger = trigger if len(trigger) <= room else trigger[: room - 1] + "…"
    return f"{head}{trigger}{'  →' + promoted if promoted else ''}"
