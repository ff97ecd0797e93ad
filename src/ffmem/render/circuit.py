"""The attribution graph of a prediction, and the pairs of a task, as lines for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ffmem.render.terminal import called, one_line

if TYPE_CHECKING:
    from ffmem.analyses.circuit.graph_parts import Circuit, LeftOut, Node
    from ffmem.analyses.circuit.pairs import Aligned

SHOWN = 30
"""Nodes that a terminal lists."""
_EDGES = 5
"""Edges into the score that it lists."""
_KINDS = {"token": "tokens", "cell": "cells", "head": "heads", "bias": "biases"}


def asked(found: "Circuit") -> str:
    """What the score is of: "⟨ are⟩ over ⟨ is⟩"."""
    what = f"⟨{one_line(found.target)}⟩"
    return what if found.against is None else f"{what} over ⟨{one_line(found.against)}⟩"


def token_at(found: "Circuit", position: int) -> str:
    """A token by its place among all."""
    return f"⟨{one_line(found.tokens[position].text)}⟩"


def node_words(found: "Circuit", node: "Node") -> str:
    """What a node is: "L9.203@4 at ⟨ keys⟩ = plural nouns"."""
    words = f"{node.name} at {token_at(found, node.position)}"
    if node.source is not None:
        words += f" from {token_at(found, node.source)}"
    if node.cell is None:
        return words
    if node.cell.name is not None:
        return words + called(node.cell.name)
    promoted = "".join(f" ⟨{one_line(token)}⟩" for token in node.cell.promoted[:2])
    return f"{words} →{promoted}" if promoted else words


def left_out_words(one: "LeftOut") -> str:
    """What of one kind is not in the graph: "cells: 111 of 1,827,839 kept, 94 % of the size of all left out"."""
    return f"{_KINDS[one.kind]}: {one.n_kept:,} of {one.n:,} kept, {100 * one.share:.0f} % of the size of all left out"


def circuit(found: "Circuit") -> str:
    """`ffmem circuit`: the largest nodes, what goes into the score, and what is left out."""
    ruled = "integrated gradients" if found.rule == "ig" else "relevance"
    largest = max((abs(one.by_rule) for one in found.nodes), default=1.0)
    lines = [
        f"{asked(found)}: rank {found.rank}, probability {found.probability:.4f}, score {found.score:.4f}, "
        f"the {found.quantity}",
        f"after {' '.join(token_at(found, place) for place in range(len(found.tokens))[-12:])}",
        f"{len(found.nodes):,} nodes by {ruled}, {len(found.edges):,} of {found.n_edges:,} edges between them",
        *(f"  {left_out_words(one)}" for one in found.left_out if one.n),
    ]
    if found.at_limit:
        lines.append("  no more were kept, though more are above the threshold: --nodes and --edges say how many")
    if found.base_score is not None:
        lines.append(f"  with all cells and heads taken out the score is {found.base_score:.4f}")
    for one in found.nodes[:SHOWN]:
        bar = "█" * round(12 * abs(one.by_rule) / largest)
        lines.append(f"  {one.by_rule:+9.4f} {bar:<12} {node_words(found, one)}".rstrip())
    if len(found.nodes) > SHOWN:
        lines.append(f"  and {len(found.nodes) - SHOWN:,} more")
    into = [one for one in found.edges if one.target == "score"]
    lines.append(
        f"straight into the score: {len(into):,} edges are drawn, together {found.score_drawn:+.4f}; the largest are"
        if into
        else "no edge straight into the score is large enough to be drawn"
    )
    lines += [f"  {one.worth:+9.4f} {one.source}" for one in into[:_EDGES]]
    lines.append(
        f"tokens and biases come to {found.total:.4f}, which differs from the score by {abs(found.total - found.score):.1e}; "
        f"every cut of the model to within {found.error:.1e}"
    )
    return "\n".join(lines)


def task_pairs(name: str, found: "Aligned", limit: int = 3) -> str:
    """`ffmem circuit --task`: how many pairs there are of each template, and the first of them."""
    lines = [f"{name}: {found.n:,} pairs, {found.n_unequal:,} not of the length of their template and left out"]
    for template, (n, n_right) in found.n_by_template.items():
        lines.append(f"  {template}: {n_right:,} of {n:,} right")
    for group in found.groups:
        lines.append(f"{group.name}, {group.ids.shape[1]} tokens")
        lines += [
            f"  {score:+.3f}  {one_line(pair.prompt)} ⟨{one_line(pair.right)}⟩, not ⟨{one_line(pair.wrong)}⟩ as after: "
            f"{one_line(pair.counterfactual)}"
            for pair, score in list(zip(group.pairs, group.whole.tolist(), strict=True))[:limit]
        ]
    return "\n".join(lines)


def slug(texts: Sequence[str]) -> str:
    """A name for a file or an address: letters and digits of some texts, and hyphens."""
    words = "".join(one if one.isascii() and one.isalnum() else " " for one in " ".join(texts).lower()).split()
    return "-".join(words)[:60].strip("-") or "prompt"
