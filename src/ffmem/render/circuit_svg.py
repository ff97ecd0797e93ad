"""The picture of an attribution graph: layers from bottom to top, tokens from left to right, lines as thick as what flows."""

from typing import TYPE_CHECKING

from ffmem.markup import Markup, each
from ffmem.render.circuit import asked, node_words
from ffmem.render.flow import signed
from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.circuit.graph_parts import Circuit, Node

MOST_NODES, MOST_EDGES = 120, 400
"""More have no room."""
_LEFT, _TOP, _ROW, _STEP, _GAP, _RADIUS = 64, 64, 30, 19, 26, 8.0
_NAMED = 12
"""Nodes that have their names beside them, the largest."""
_LABEL = 5.4
"""How wide a letter of a label is."""
_STYLE = Markup("""
.circuit { color: #1b1f24; background: #ffffff; font: 11px system-ui, sans-serif; }
.circuit .plus { fill: #009e73; stroke: #009e73; } .circuit .minus { fill: #be4b00; stroke: #be4b00; }
@media (prefers-color-scheme: dark) { .circuit { color: #e4e8ec; background: #15181c; } }
.circuit text { fill: currentColor; stroke: none; } .circuit .soft { opacity: 0.65; } .circuit .end { text-anchor: end; }
.circuit .node > circle, .circuit .node > rect, .circuit .node > path { fill-opacity: 0.8; }
.circuit path.edge { fill: none; stroke-opacity: 0.22; } .circuit path.edge:hover { stroke-opacity: 0.9; }
.circuit .guide { stroke: currentColor; stroke-opacity: 0.1; } .circuit .head { font-weight: 600; font-size: 14px; }
.circuit .middle { text-anchor: middle; }
""")


class _Places:
    """Where everything stands: columns are as wide as the layer with most nodes at their token."""

    def __init__(self, found: "Circuit") -> None:
        self.found = found
        self.nodes = found.nodes[:MOST_NODES]
        rows: dict[tuple[int, int], list[Node]] = {}
        for one in self.nodes:
            rows.setdefault((_row(one), one.position), []).append(one)
        last = len(found.tokens) - 1
        self.columns: dict[int, tuple[float, float]] = {}
        x = float(_LEFT)
        for position in sorted({one.position for one in self.nodes} | {last}):
            most = max((len(some) for (_, at), some in rows.items() if at == position), default=1)
            width = max(_STEP * most, min(len(found.tokens[position].text), 9) * _LABEL * 0.6 + 10)
            self.columns[position] = (x, x + width)
            x += width + _GAP
        self.width = max(x + 20, 460.0)
        used = sorted({row for row, _ in rows}, reverse=True)
        self.rows = {row: _TOP + _ROW * (number + 1) for number, row in enumerate(used)}
        self.bottom = _TOP + _ROW * (len(used) + 1)
        self.height = self.bottom + 90
        self.spots: dict[str, tuple[float, float]] = {"score": (sum(self.columns[last]) / 2, float(_TOP) - 6)}
        for (row, position), some in rows.items():
            left, right = self.columns[position]
            for number, one in enumerate(some):
                self.spots[one.name] = (left + (right - left) * (number + 0.5) / len(some), float(self.rows[row]))


def _row(one: "Node") -> int:
    """Tokens, then of each layer attention and cells."""
    if one.layer is None:
        return 0
    of_attention = one.kind == "head" or (one.kind == "bias" and "attention" in one.name)
    return 2 * one.layer + (1 if of_attention else 2)


def circuit_svg(found: "Circuit", *, standalone: bool = True) -> Markup:
    """The picture, as SVG: the largest 120 nodes and 400 edges between them.

    Args:
        found: the graph.
        standalone: as a file of its own.
    """
    places = _Places(found)
    said = f"What carries {asked(found)}, layer by layer and token by token"
    head = '<svg class="circuit" role="group" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}"{}>{}'
    parts = [
        Markup(head).format(
            said, places.width, places.height, places.width, places.height,
            Markup(' xmlns="http://www.w3.org/2000/svg"') if standalone else Markup(),
            Markup("<style>{}</style>").format(_STYLE),
        ),
        _frame(places), _edges(places), *(_node(places, one) for one in places.nodes), _score(places), Markup("</svg>"),
    ]  # fmt: skip
    return Markup().join(parts)


def _frame(places: _Places) -> Markup:
    """Layers and tokens."""
    found = places.found
    names = []
    for row, y in places.rows.items():
        layer = "" if row == 0 else found.layers[(row - 1) // 2]
        names.append([y + 4, "tokens" if row == 0 else f"{layer} {'heads' if row % 2 else 'cells'}"])
    guides = [[_LEFT - 4, y, places.width - 12, y] for y in places.rows.values()]
    tokens = []
    for position, (left, right) in places.columns.items():
        told = one_line(found.tokens[position].text).replace(" ", "·")[:14] or "(empty)"
        x, y = (left + right) / 2 + 4, places.bottom + 4
        tokens.append([x, y, x, y, f"{position - found.n_before} ", told])
    return (
        each('<path class="guide" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>', guides)
        + each('<text class="soft" x="4" y="{:.1f}">{}</text>', names)
        + each(
            '<text class="end" x="{:.1f}" y="{:.1f}" transform="rotate(-50 {:.1f} {:.1f})"><tspan class="soft">{}</tspan>{}'
            "</text>",
            tokens,
        )
    )


def _edges(places: _Places) -> Markup:
    found = places.found
    shown = [one for one in found.edges if one.source in places.spots and one.target in places.spots][:MOST_EDGES]
    largest = max((abs(one.worth) for one in shown), default=1.0)
    rows = []
    for one in reversed(shown):  # the largest on top
        (x, y), (to_x, to_y) = places.spots[one.source], places.spots[one.target]
        middle = (y + to_y) / 2
        rows.append(
            [
                "minus" if one.worth < 0 else "plus", max(0.6, 6 * abs(one.worth) / largest),
                x, y, x, middle, to_x, middle, to_x, to_y, f"{one.source} to {one.target}: {signed(one.worth)}",
            ]
        )  # fmt: skip
    form = (
        '<path class="edge {}" stroke-width="{:.1f}" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}">'
        "<title>{}</title></path>"
    )
    return each(form, rows)


def _node(places: _Places, one: "Node") -> Markup:
    x, y = places.spots[one.name]
    largest = max(abs(node.by_rule) for node in places.nodes) or 1.0
    r = max(_RADIUS * (abs(one.by_rule) / largest) ** 0.5, 1.6)
    shapes = {
        "token": '<rect x="{0:.1f}" y="{1:.1f}" width="{3:.1f}" height="{3:.1f}"/>',
        "head": '<path d="M{4:.1f} {1:.1f}L{5:.1f} {6:.1f}L{0:.1f} {6:.1f}Z"/>',
    }
    shape = Markup(shapes.get(one.kind, '<circle cx="{4:.1f}" cy="{7:.1f}" r="{2:.1f}"/>')).format(
        x - r, y - r, r, 2 * r, x, x + r, y + r, y
    )
    if one in places.nodes[:_NAMED]:
        told = one.name.partition("@")[0]
        shape += Markup('<text class="soft" x="{:.1f}" y="{:.1f}">{}</text>').format(x + r + 2, y - 3, told)
    said = f"{node_words(places.found, one)}: {signed(one.by_rule)}"
    colour = "minus" if one.by_rule < 0 else "plus"
    return Markup(
        '<g class="node {}" data-node="{}" tabindex="0" role="img" aria-label="{}"><title>{}</title>{}</g>'
    ).format(colour, one.name, said, said, shape)


def _score(places: _Places) -> Markup:
    x, y = places.spots["score"]
    told = f"{asked(places.found)} {signed(places.found.score)}"
    x = min(max(x, 4 + len(told) * 3.9), places.width - 4 - len(told) * 3.9)
    return Markup('<text class="head middle" x="{:.1f}" y="{:.1f}">{}</text>').format(x, y - 10, told)
