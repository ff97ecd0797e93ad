"""An attribution graph as one page that stands alone: the picture, what is left out, all nodes and edges."""

from typing import TYPE_CHECKING

from ffmem.markup import Markup, each
from ffmem.render.circuit import asked, left_out_words, node_words
from ffmem.render.circuit_svg import MOST_EDGES, MOST_NODES, circuit_svg
from ffmem.render.flow import signed

if TYPE_CHECKING:
    from ffmem.analyses.circuit.graph_parts import Circuit

_STYLE = Markup("""
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
.picture { overflow-x: auto; } table { border-collapse: collapse; } td, th { padding: 0.15rem 0.8rem; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } tbody tr { border-top: 1px solid #d8dee4; }
@media (prefers-color-scheme: dark) { body { color: #e4e8ec; background: #15181c; } tbody tr { border-color: #333a42; } }
""")


def circuit_page(found: "Circuit") -> Markup:
    """The page, as HTML."""
    nodes = ([signed(one.by_rule), signed(one.worth), signed(one.drawn), node_words(found, one)] for one in found.nodes)
    edges = ([signed(one.worth), one.source, one.target] for one in found.edges[:MOST_EDGES])
    ruled = "integrated gradients" if found.rule == "ig" else "relevance"
    facts = [
        f"{found.model}; after “{found.text}”",
        f"score {found.score:.4f}, the {found.quantity}; probability {found.probability:.4f}, rank {found.rank}",
        f"{len(found.nodes):,} nodes by {ruled}, {len(found.edges):,} of {found.n_edges:,} edges between them",
        *(left_out_words(one) for one in found.left_out if one.n),
        f"the picture has the largest {min(MOST_NODES, len(found.nodes)):,} nodes and {MOST_EDGES:,} edges at most",
    ]
    return Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>{title}</title><style>{style}</style></head><body><h1>What carries {title}</h1><ul>{facts}</ul>"
        '<div class="picture">{picture}</div>'
        "<p>Squares are tokens, triangles heads, dots cells and biases. Area is size; green adds, brown takes away. "
        "Attention weights, norm scales and gates are held as they are: what a node is worth is no promise of what would "
        "happen without it.</p>"
        '<h2>Nodes</h2><table><thead><tr><th class="number">by the rule</th><th class="number">worth</th>'
        '<th class="number">of it drawn</th><th>node</th></tr></thead><tbody>{nodes}</tbody></table>'
        '<h2>Edges</h2><table><thead><tr><th class="number">worth</th><th>from</th><th>to</th></tr></thead>'
        "<tbody>{edges}</tbody></table></body></html>"
    ).format(
        title=asked(found),
        style=_STYLE,
        facts=each("<li>{}</li>", ([one] for one in facts)),
        picture=circuit_svg(found, standalone=False),
        nodes=each(
            '<tr><td class="number">{}</td><td class="number">{}</td><td class="number">{}</td><td>{}</td></tr>', nodes
        ),
        edges=each('<tr><td class="number">{}</td><td>{}</td><td>{}</td></tr>', edges),
    )
