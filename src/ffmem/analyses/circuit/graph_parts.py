"""What an attribution graph is made of, as plain records: nodes, edges, what was left out. Nothing here needs a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ffmem.analyses.attention.inputs import AttentionToken
from ffmem.json_values import Record
from ffmem.markup import captioned

if TYPE_CHECKING:
    from ffmem.analyses.activation import ActiveCell
    from ffmem.models.unembedding import Quantity

Kind = Literal["token", "cell", "head", "bias"]
Rule = Literal["relp", "ig"]
"""How nodes are chosen: "relp": by what they are worth in the frozen model, one way back; "ig": by integrated gradients in the
model itself, ten steps."""
Heads = Literal["whole", "by-source", "through"]
"""What attention is: a node for each head and token; one for each token that the head read there, too; or no node, and edges go
through it from cell to cell."""
SCORE = "score"
"""The name of the node that everything leads to."""
_SHOWN = 30
"""Nodes, and edges, that a notebook shows."""


@dataclass(frozen=True)
class Node:
    """A token, a cell at a token, a head at a token, or a bias at a token."""

    name: str
    """"token@3", "L9.203@3", "L3.H5@3" ("L3.H5@3<1": what it read at token 1), "L3.attention-bias@3", "L3.bias@3"; special
    tokens before the text have negative numbers."""
    kind: Kind
    layer: int | None
    """Its place; None for tokens."""
    index: int | None
    """Of the cell within the layer, or of the head."""
    position: int
    """Among all tokens, special ones included."""
    source: int | None
    """The token that a head read, in a graph of heads by source."""
    worth: float
    """What it is worth to the score in the frozen model."""
    by_rule: float
    """What the rule says of it: the same under "relp"."""
    drawn: float
    """What the edges into it that are drawn come to, of its worth; 0 for tokens and biases."""
    cell: "ActiveCell | None" = None


@dataclass(frozen=True)
class Edge:
    """What one node is worth to the score by way of another."""

    source: str
    target: str
    worth: float


@dataclass(frozen=True)
class LeftOut:
    """Of one kind of nodes: how many there are, and what is not in the graph."""

    kind: Kind
    n: int
    """Nodes of this kind whose worth is not 0."""
    n_kept: int
    size: float
    """The sum of the sizes of all their worths."""
    size_kept: float
    worth: float
    """The sum of their worths; signs cancel."""
    worth_kept: float

    @property
    def share(self) -> float:
        """How much of the size is left out."""
        return 1 - self.size_kept / self.size if self.size else 0.0


@dataclass(frozen=True)
class Circuit(Record):
    """The attribution graph of one prediction."""

    model: str
    text: str
    tokens: tuple[AttentionToken, ...]
    """Special ones before the text included; the score is that after the last."""
    n_before: int
    target: str
    target_id: int
    against: str | None
    score: float
    quantity: "Quantity"
    probability: float
    rank: int
    rule: Rule
    heads: Heads
    threshold: float
    """Nodes whose rule gives them less of the score are left out, and edges that are worth less of their node."""
    layers: tuple[str, ...]
    constant: float
    """What is no node's: of the final norm and the unembedding, and normalisers of an adaptive softmax."""
    inner_biases: float
    """What biases inside cells and heads are worth, which are no nodes: those of norms, keys, and values of heads."""
    nodes: tuple[Node, ...]
    """The largest first."""
    edges: tuple[Edge, ...]
    score_drawn: float
    """What the edges into the score that are drawn come to."""
    left_out: tuple[LeftOut, ...]
    n_edges: int
    """Edges between the nodes that are kept, as far as they are not 0."""
    edge_size: float
    """The sum of their sizes."""
    edge_size_kept: float
    at_limit: bool
    """Whether more nodes, or edges, are above the threshold than are kept."""
    error: float
    """Of what all nodes and biases of any cut are worth, against the score: the largest."""
    base_score: float | None
    """Under "ig": the score with all cells and heads taken out, from which the way to the score begins."""

    @property
    def total(self) -> float:
        """The worth of all tokens and biases, and the constant: the score."""
        outside = [one.worth for one in self.left_out if one.kind in ("token", "bias")]
        return sum(outside) + self.inner_biases + self.constant

    def _repr_html_(self) -> str:
        """For notebooks: the largest nodes and edges."""
        what = self.target if self.against is None else f"{self.target} over {self.against}"
        nodes = [[one.name, one.worth, one.drawn, _name(one)] for one in self.nodes[:_SHOWN]]
        edges = [[one.source, one.target, one.worth] for one in self.edges[:_SHOWN]]
        left = [[one.kind, one.n_kept, one.n, one.share] for one in self.left_out]
        return (
            captioned(f"{what}: {self.score:.4g}, {self.quantity}", ("kind", "kept", "of", "size left out"), left)
            + captioned("nodes, the largest first", ("node", "worth", "of it drawn", "name"), nodes)
            + captioned("edges, the largest first", ("from", "to", "worth"), edges)
        )


def _name(node: Node) -> str:
    return "" if node.cell is None or node.cell.name is None else str(node.cell.name)
