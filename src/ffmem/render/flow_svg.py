"""The picture of a prediction's flow: layers from bottom to top, tokens from left to right, then the stream, then the cells.

Parts of the sum are dots, as large as what they add; what each layer adds beside them is one dot more. It is made from plain
data, and reads alone: `standalone` puts its style in, which a page has in a sheet of its own.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffmem.analyses.flow_parts import Rest
from ffmem.markup import Markup, each, escape
from ffmem.render.flow import part_words, signed
from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.flow import Fired, Flow
    from ffmem.analyses.flow_parts import Cut, Part

_LEFT, _TOP, _LINE, _COLUMN, _GAP = 46, 58, 21, 50, 22
_SO_FAR, _NUMBER, _RADIUS = 62, 58, 10.5
"""Widths beside the stream: of the sum so far, of a part's number; and of the largest dot."""
_CHARACTER = 6.7
"""How wide a letter is, about."""
_LONGEST = 40
"""Characters of a label; the whole of it is in its title."""
_FEW_TOKENS = 8
"""So many have a column each; of more only those that a head on the picture reads."""
_N_EDGES = 6
"""Parts that a cell is joined to which made it fire."""
_STYLE = Markup("""
.flow { color: #1b1f24; background: #ffffff; font: 12px system-ui, sans-serif; }
.flow .plus { fill: #009e73; stroke: #009e73; } .flow .minus { fill: #be4b00; stroke: #be4b00; }
@media (prefers-color-scheme: dark) { .flow { color: #e4e8ec; background: #15181c; } }
.flow text { fill: currentColor; stroke: none; } .flow .soft { opacity: 0.7; } .flow .end { text-anchor: end; }
.flow circle { fill-opacity: 0.75; } .flow .rest circle { fill-opacity: 0.2; }
.flow path.plus, .flow path.minus { fill: none; stroke-opacity: 0.45; }
.flow path.made { stroke-dasharray: 4 3; stroke-opacity: 0.9; } .flow .guide { stroke: currentColor; stroke-opacity: 0.15; }
.flow .stream { stroke: currentColor; stroke-opacity: 0.5; stroke-width: 3; } .flow .pinned circle { stroke-width: 3; }
.flow .head { font-weight: 600; font-size: 15px; }
""")

Link = Callable[["Part"], str | None]
"""Where a part leads to; None: nowhere."""


@dataclass(frozen=True)
class _Line:
    """One line of a layer beside the stream."""

    part: "Part | Rest"
    words: str


class _Places:
    """Where everything stands."""

    def __init__(self, found: "Flow", drawn: "Cut") -> None:
        self.found, self.drawn = found, drawn
        read = {one.source for one in drawn.shown if one.source is not None}
        n = len(found.tokens)
        self.columns: dict[int, float] = {}
        x = float(_LEFT)
        for place in range(n):
            if n <= _FEW_TOKENS or place in read or place == n - 1:
                x += _GAP if place and place - 1 not in self.columns else 0
                self.columns[place] = x + _COLUMN / 2
                x += _COLUMN
        self.stream = x + 14
        self.dots = self.stream + _SO_FAR
        rests = {one.layer: one for one in drawn.rests}
        names = [one.layer for one in found.sum.layers]
        self.lines: list[list[_Line]] = []
        self.heads: list[list[Part]] = []
        self.tops: list[float] = [0.0] * len(names)
        self.heights: list[float] = []
        for layer in range(len(names)):
            own = [one for one in drawn.shown if one.layer == layer]
            lines = [_Line(one, part_words(found, one)) for one in own if one.kind != "head"]
            if layer in rests:
                rest = rests[layer]
                lines.append(_Line(rest, f"{rest.n_parts:,} more"))
            heads = [one for one in own if one.kind == "head"]
            deepest = max((sum(other.source == one.source for other in heads) for one in heads), default=0)
            self.lines.append(lines)
            self.heads.append(heads)
            self.heights.append(_LINE * max(len(lines), deepest, 1) + 3)
        y: float = _TOP + _LINE * len(drawn.ends)
        for layer in reversed(range(len(names))):
            self.tops[layer] = y
            y += self.heights[layer]
        self.bottom = y
        longest = max((len(line.words) for lines in self.lines for line in lines), default=0)
        self.width = self.dots + 14 + _NUMBER + min(max(longest, 22), _LONGEST) * _CHARACTER + 24
        self.height = self.bottom + _LINE + 84

    def spots(self) -> dict[str, tuple[float, float]]:
        """The middle of each part's dot, by its name."""
        found = {"embedding": (self.stream, self.bottom + _LINE * 0.75)}
        for layer, top in enumerate(self.tops):
            for number, line in enumerate(self.lines[layer]):
                name = getattr(line.part, "name", f"rest {layer}")
                found[name] = (self.dots, top + _LINE * (number + 0.5))
            depth: dict[int, int] = {}
            for one in self.heads[layer]:
                source = one.source or 0
                found[one.name] = (self.columns[source] - 8, top + _LINE * (depth.get(source, 0) + 0.5))
                depth[source] = depth.get(source, 0) + 1
        return found


def flow_svg(
    found: "Flow",
    drawn: "Cut",
    *,
    pinned: Collection[str] = (),
    link: Link = lambda part: None,
    standalone: bool = True,
) -> Markup:
    """The picture of a prediction's flow, as SVG.

    Args:
        found: the prediction.
        drawn: what of its sum is drawn.
        pinned: names of parts that are marked.
        link: where a part leads to.
        standalone: as a file of its own.
    """
    places = _Places(found, drawn)
    spots = places.spots()
    said = f"What adds to {one_line(found.target)} and what takes away from it, layer by layer"
    head = (
        '<svg class="flow" role="group" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}"{}>{}'
    )
    namespace = Markup(' xmlns="http://www.w3.org/2000/svg"') if standalone else Markup()
    parts = [
        Markup(head).format(
            said, places.width, places.height, places.width, places.height, namespace,
            Markup("<style>{}</style>").format(_STYLE) if standalone else Markup(),
        ),
        _frame(places), _ends(places),
        *(_made(one, found.n_before, spots) for one in found.fired),
        *(_layer(places, layer, spots, pinned, link) for layer in reversed(range(len(places.tops)))),
        _embedding(places, spots, link),
        Markup("</svg>"),
    ]  # fmt: skip
    return Markup().join(parts)


def _frame(places: _Places) -> Markup:
    """The stream, layers and tokens."""
    found, layers = places.found, places.found.sum.layers
    texts = [[places.tops[n] + _LINE * 0.5 + 4, one.layer] for n, one in enumerate(layers)]
    guides = [[x, _TOP + _LINE * len(places.drawn.ends), x, places.bottom] for x in places.columns.values()]
    tokens = []
    for place, x in places.columns.items():
        token, number = found.tokens[place], place - found.n_before
        told = one_line(token.text).replace(" ", "·")[:14] or "(empty)"
        y = places.bottom + 16
        tokens.append(
            [" soft" if token.special else "", x + 4, y, x + 4, y, "" if token.special else f"{number} ", told]
        )
    return (
        each('<path class="guide" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>', guides)
        + each('<text class="soft" x="4" y="{:.1f}">{}</text>', texts)
        + each(
            '<text class="end{}" x="{:.1f}" y="{:.1f}" transform="rotate(-50 {:.1f} {:.1f})">'
            '<tspan class="soft">{}</tspan>{}</text>',
            tokens,
        )
        + Markup('<path class="stream" d="M{0:.1f} {1:.1f}L{0:.1f} {2:.1f}"/>').format(
            places.stream, places.bottom + _LINE * 0.75, 34
        )
    )


def _ends(places: _Places) -> Markup:
    """The score, and what belongs to no layer."""
    found = places.found
    target = one_line(found.target).replace(" ", "·")
    if found.against is not None:
        target += f" over {one_line(found.against).replace(' ', '·')}"
    lines = [
        [places.stream + 12, _TOP + _LINE * n + 2, f"{signed(one.share)}  {part_words(found, one)}"]
        for n, one in enumerate(places.drawn.ends)
    ]
    return Markup('<text class="head" x="{:.1f}" y="24">{} {}</text>').format(
        places.stream + 12, target[:30], signed(found.score)
    ) + each('<text class="soft" x="{:.1f}" y="{:.1f}">{}</text>', lines)


def _layer(
    places: _Places, layer: int, spots: dict[str, tuple[float, float]], pinned: Collection[str], link: Link
) -> Markup:
    middle = places.tops[layer] + _LINE * 0.5
    so_far = places.found.sum.embedding + sum(_all_of(places, one) for one in range(layer + 1))
    drawn = [
        Markup('<text class="soft" x="{:.1f}" y="{:.1f}"><title>The sum so far, after {}</title>{}</text>').format(
            places.stream + 6, places.tops[layer] + 7, places.found.sum.layers[layer].layer, signed(so_far)
        )
    ]
    for one in places.heads[layer]:
        x, y = spots[one.name]
        said = f"{part_words(places.found, one)}: {signed(one.share)}"
        body = _path(places, one.share, f"M{x:.1f} {y:.1f}L{places.stream:.1f} {y:.1f}")
        body += _dot(places, x, y, one.share)
        body += Markup('<text x="{:.1f}" y="{:.1f}">H{}</text>').format(x + 12, y + 4, one.head)
        drawn.append(_node(one, said, body, pinned, link))
    for line in places.lines[layer]:
        rest = line.part
        x, y = spots[getattr(rest, "name", f"rest {layer}")]
        curve = f"M{x:.1f} {y:.1f}C{x - 20:.1f} {y:.1f} {x - 30:.1f} {middle:.1f} {places.stream:.1f} {middle:.1f}"
        body = _path(places, rest.share, curve) + _dot(places, x, y, rest.share) + _label(x, y, rest.share, line.words)
        if isinstance(rest, Rest):
            drawn.append(_rest(places, rest, body))
        else:
            drawn.append(_node(rest, f"{line.words}: {signed(rest.share)}", body, pinned, link))
    return Markup().join(drawn)


def _all_of(places: _Places, layer: int) -> float:
    own = [*places.heads[layer], *(line.part for line in places.lines[layer])]
    return sum(one.share for one in own)


def _embedding(places: _Places, spots: dict[str, tuple[float, float]], link: Link) -> Markup:
    one = next(part for part in places.drawn.shown if part.kind == "embedding")
    x, y = spots["embedding"]
    words = part_words(places.found, one)
    body = _dot(places, x, y, one.share) + _label(x, y, one.share, words)
    return _node(one, f"{words}: {signed(one.share)}", body, (), link)


def _label(x: float, y: float, share: float, words: str) -> Markup:
    short = words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    return Markup('<text class="end" x="{:.1f}" y="{:.1f}">{}</text><text x="{:.1f}" y="{:.1f}">{}</text>').format(
        x + _NUMBER + 4, y + 4, signed(share), x + _NUMBER + 12, y + 4, short
    )


def _dot(places: _Places, x: float, y: float, share: float) -> Markup:
    radius = max(1.5, _RADIUS * (min(abs(share) / places.drawn.largest, 1.0)) ** 0.5)
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(_colour(share), x, y, radius)


def _path(places: _Places, share: float, line: str) -> Markup:
    width = max(0.4, 7 * min(abs(share) / places.drawn.largest, 1.0))
    return Markup('<path class="{}" stroke-width="{:.1f}" d="{}"/>').format(_colour(share), width, line)


def _colour(share: float) -> str:
    return "minus" if share < 0 else "plus"


def _node(one: "Part", said: str, body: Markup, pinned: Collection[str], link: Link) -> Markup:
    more = " pinned" if one.name in pinned else ""
    address = link(one)
    if address is None:
        return Markup(
            '<g class="node{}" data-part="{}" tabindex="0" role="img" aria-label="{}"><title>{}</title>{}</g>'
        ).format(more, one.name, said, said, body)
    return Markup('<a class="node{}" data-part="{}" href="{}" aria-label="{}"><title>{}</title>{}</a>').format(
        more, one.name, address, said, said, body
    )


def _rest(places: _Places, one: "Rest", body: Markup) -> Markup:
    name = places.found.sum.layers[one.layer].layer
    said = (
        f"the rest of {name}, {one.n_parts:,} parts: {signed(one.share)} (attention {signed(one.attention)}, "
        f"cells {signed(one.cells)}, biases {signed(one.biases)})"
    )
    return Markup(
        '<g class="node rest" data-part="{}.rest" tabindex="0" role="img" aria-label="{}"><title>{}</title>{}</g>'
    ).format(name, said, said, body)


def _made(cell: "Fired", n_before: int, spots: dict[str, tuple[float, float]]) -> Markup:
    """Lines to a pinned cell from the parts on the picture that gave most to its key (of a gated cell: to its gate)."""
    end = spots.get(str(cell.cell.cell))
    if end is None or not cell.keys:
        return Markup()
    parts = [one for one in cell.keys[0].sum.parts(n_before) if one.share]
    largest = max((abs(one.share) for one in parts), default=1.0)
    drawn = sorted((one for one in parts if one.name in spots), key=lambda one: -abs(one.share))[:_N_EDGES]
    return each(
        '<path class="made {}" stroke-width="{:.1f}" d="M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}"><title>{}</title></path>',
        (
            (
                _colour(one.share), max(0.8, 3.5 * abs(one.share) / largest), *spots[one.name],
                (spots[one.name][0] + end[0]) / 2 - 24, (spots[one.name][1] + end[1]) / 2, *end,
                f"{one.name} gives {signed(one.share)} to the {cell.keys[0].branch} of {cell.cell.cell}",
            )
            for one in drawn
        ),
    )  # fmt: skip


def as_file(picture: Markup) -> bytes:
    """The picture as a file: half a character, which no file can hold, stands as its number."""
    return escape(picture).encode("utf-8", "backslashreplace")
