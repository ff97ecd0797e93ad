"""A prediction as a sum of parts that flow together: as lines for a terminal, and what each part is in words."""

from typing import TYPE_CHECKING

from ffmem.analyses.flow_parts import cut
from ffmem.render.explain import score_is
from ffmem.render.terminal import called, one_line

if TYPE_CHECKING:
    from ffmem.analyses.flow import Fired, Flow
    from ffmem.analyses.flow_parts import Cut, Part, Rest

_PARTS_OF_A_KEY = 8


def part_words(found: "Flow", part: "Part") -> str:
    """What a part is: "L3.H5 from ⟨gods⟩", "L9.203 = Greek myths"."""
    if part.kind == "head" and part.source is not None:
        return f"{part.name.partition('@')[0]} from ⟨{one_line(found.tokens[part.source].text)}⟩"
    if part.kind == "embedding":
        return f"embedding of ⟨{one_line(found.tokens[-1].text)}⟩"
    if part.kind == "cell" and part.cell is not None:
        return f"{part.name}{called(part.cell.name)}" if part.cell.name else f"{part.name}{_promotes(part)}"
    layer = part.name.partition(".")[0]
    return {
        "attention": f"all of attention in {layer}",
        "bias": f"bias of {'attention' if part.name.endswith('attention-bias') else 'the cells'} in {layer}",
        "constant": "constant, whatever the text",
        "normalisers": "normalisers of the adaptive softmax",
    }[part.kind]


def _promotes(part: "Part") -> str:
    assert part.cell is not None
    shown = "".join(f" ⟨{one_line(token)}⟩" for token in part.cell.promoted[:2])
    return f" →{shown}" if shown else ""


def signed(value: float) -> str:
    """A number with its sign and three digits."""
    return f"{value:+.3g}".replace("-", "\u2212")


def _percent(share: float) -> str:
    return f"{100 * abs(share):.0f} %"


def shown_of_all(drawn: "Cut") -> str:
    """How much of the sum its parts are: "12 of 1,800 parts: 83 % of all that adds, 71 % of all that takes away"."""
    n = len([one for one in drawn.shown if one.share])
    adds, takes = _percent(drawn.above), _percent(drawn.below)
    return f"{n:,} of {drawn.n_parts:,} parts: {adds} of all that adds, {takes} of all that takes away"


def flow(found: "Flow", drawn: "Cut") -> str:
    """`ffmem flow`: the largest parts, the rest of each layer, and their sum."""
    what = f"⟨{one_line(found.target)}⟩"
    if found.against is not None:
        what += f" over ⟨{one_line(found.against)}⟩"
    names = [one.layer for one in found.sum.layers]
    lines = [
        f"{what}: rank {found.rank}, probability {found.probability:.4f}, score {found.score:.4f}, "
        f"{score_is(found.quantity, found.against)}",
        f"after {_read(found)}",
        shown_of_all(drawn),
        *(_line(one.share, drawn, part_words(found, one)) for one in drawn.shown),
        "the rest, layer by layer",
        *(_line(one.share, drawn, _rest(names[one.layer], one)) for one in drawn.rests),
        *(_line(one.share, drawn, part_words(found, one)) for one in drawn.ends),
        f"  sum {drawn.total:.4f}; it differs from the score by {found.error:.1e} at most, as does the model's own score",
    ]
    lines += [f"attention of {one.layer} is one part: {one.not_split}" for one in found.sum.layers if one.not_split]
    for cell in found.fired:
        lines += ["", *_fired(found, cell)]
    return "\n".join(lines)


def _read(found: "Flow") -> str:
    shown = " ".join(f"⟨{one_line(one.text)}⟩" for one in found.tokens[found.n_before :][-12:])
    return f"… {shown}" if len(found.tokens) - found.n_before > 12 else shown


def _line(share: float, drawn: "Cut", words: str) -> str:
    bar = "█" * round(12 * min(abs(share) / drawn.largest, 1.0))
    return f"  {share:+9.4f} {bar:<12} {words}".rstrip()


def _rest(layer: str, one: "Rest") -> str:
    return f"{layer}: {one.n_parts:,} parts (attention {one.attention:+.4f}, cells {one.cells:+.4f}, biases {one.biases:+.4f})"


def _fired(found: "Flow", cell: "Fired") -> list[str]:
    """What made a cell fire: the largest parts of what its key was given."""
    lines = [f"what made {cell.cell.cell} fire{called(cell.cell.name)}: coefficient {cell.cell.coefficient:.4f}"]
    if cell.why_not:
        return [*lines, f"  not known: {cell.why_not}"]
    for key in cell.keys:
        drawn = cut(key.sum, None, n_before=found.n_before, most=_PARTS_OF_A_KEY)
        rest = sum(one.share for one in drawn.rests)
        lines += [
            f"  its {key.branch} was given {key.whole:.4f}",
            *(f"  {_line(one.share, drawn, part_words(found, one))}" for one in drawn.shown),
            f"  {_line(rest, drawn, f'all other parts of {len(key.sum.layers)} layers')}",
            *(f"  {_line(one.share, drawn, 'constant')}" for one in drawn.ends),
        ]
    return lines
