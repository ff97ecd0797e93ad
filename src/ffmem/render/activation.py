"""The cells that a text activates."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import around, called, one_line, width

if TYPE_CHECKING:
    from ffmem.analyses.activation import Activation, ActiveCell


def activation(found: "Activation") -> str:
    """`ffmem activate`: a token a paragraph, a cell a line."""
    lines = ["coefficient, what it adds, share of its largest in the index; its best trigger there; what it promotes"]
    for token in found.tokens:
        lines.append(f"⟨{one_line(token.token)}⟩")
        lines += [cell_line(one) for one in token.cells]
    return "\n".join(lines)


def cell_line(one: "ActiveCell") -> str:
    """A cell at a token, with what it is known for."""
    share = "" if one.share is None else f"{one.share:5.0%}"
    head = f"  {one.cell!s:>12} {one.coefficient:9.3f}  adds {one.norm:8.3f}  {share}"
    promoted = "".join(f" ⟨{one_line(token)}⟩" for token in one.promoted[:2])
    name = called(one.name)
    room = max(20, width() - len(head) - len(promoted) - len(name) - 5)
    trigger = ""
    if one.trigger is not None:
        left, token, right = map(one_line, one.trigger)
        trigger = "  " + around(left, token, right, room)
    return f"{head}{trigger}{'  →' + promoted if promoted else ''}{name}"
