"""The attribution graph of one prediction: cells, heads and tokens that carry it, through all layers.

Chosen by what they are worth to the score (relevance in the model with attention weights, norm scales and gates held as they
are), or by integrated gradients in the model itself. What is left out is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.activation import describe
from ffmem.analyses.attention.inputs import AttentionToken
from ffmem.analyses.circuit.edges import Edges, Place
from ffmem.analyses.circuit.frozen import FrozenLayer
from ffmem.analyses.circuit.gates import Shares, integrated, score_at
from ffmem.analyses.circuit.graph_parts import SCORE, Circuit, Edge, Heads, Kind, LeftOut, Node, Rule
from ffmem.analyses.circuit.relevance import Relevance, relevance, run_frozen, scores_of
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.one_token import one_token
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.errors import InputError
from ffmem.models.inputs import ModelInput, as_row
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos
from ffmem.store.reader import Index

THRESHOLD = 0.01
MOST_NODES = 300
"""More are not kept, however small the threshold."""
MOST_EDGES = 3000
STEPS = 10
"""Of integrated gradients."""


def circuit(
    model: Transformer,
    text: str,
    *,
    target: str | None = None,
    against: str | None = None,
    rule: Rule = "relp",
    heads: Heads = "whole",
    threshold: float = THRESHOLD,
    most_nodes: int = MOST_NODES,
    most_edges: int = MOST_EDGES,
    index: Index | None = None,
    bos: Bos | None = None,
) -> Circuit:
    """The attribution graph of the prediction after a text.

    Args:
        model: a causal model whose layers are one attention and one feed-forward layer, added to a plain sum.
        text: read as one input, as a sentence of an index is.
        target: exactly one token, spaces included; by default the model's own prediction.
        against: a second token: then the score is the difference of the two.
        rule: how nodes are chosen.
        heads: what attention is in the graph.
        threshold: nodes that have less of the score, in size, are left out; and edges that have less of their node.
        most_nodes: no more are kept, the largest first.
        most_edges: no more are kept, the largest first.
        index: an index of the model, to say what cells are.
        bos: special tokens: as in the index, or "auto" without one.

    Raises:
        InputError: not such a model, not one token, or a text that is empty or too long.
        ModelError: what the parts are worth does not add up to the score.

    Cost: two to three forward passes of the text; "ig" ten forward and back besides; "through" for each cell that is kept
        the attention below it once more.
    """
    _check(threshold, rule, heads)
    read = read_as_indexed(model, text, index, bos)
    ids = as_row(model, read.to_continue)
    with torch.no_grad():
        layers = run_frozen(model, ids)
        logits = model.unembedding.project(layers[-1].states.layer_output[0, -1], model.unembedding.own_projection)
        logits = logits[None].float()
        token = int(first_of_largest(logits)[0]) if target is None else one_token(model, target)
        other = None if against is None else one_token(model, against)
        found = relevance(model, layers, scores_of(model, layers, [token], [other]))
        shares, base = None, None
    if rule == "ig":
        shares, base = _integrated(model, ids, token, other)
    with torch.no_grad():
        kept = _choose(layers, found, shares, heads, threshold, most_nodes)
        edges = _edges(layers, found, kept.chosen, heads, threshold, most_edges)
        nodes = tuple(_node(model, index, layers, one, len(read.before), edges.drawn) for one in kept.chosen)
    asked = _Asked(text, read, token, other, logits)
    return _told(model, found, asked, rule, heads, threshold, kept, edges, nodes, base)


@dataclass(frozen=True)
class _Asked:
    """A text as it is read, and the tokens whose score is asked."""

    text: str
    read: ModelInput
    token: int
    other: int | None
    logits: Float[Tensor, "one d_vocab"]


def _check(threshold: float, rule: Rule, heads: Heads) -> None:
    if not 0 <= threshold <= 1:
        raise InputError(f"the threshold is {threshold}", "Expected a share, 0 to 1", f"Write --threshold {THRESHOLD}")
    if rule == "ig" and heads == "by-source":
        raise InputError(
            "integrated gradients say what a head is worth, and not because of which token",
            "Expected heads whole, or through, beside ig",
            "Write --heads whole, or --rule relp",
        )


def _integrated(model: Transformer, ids: Tensor, token: int, other: int | None) -> tuple[Shares, float]:
    """What cells and heads are worth as they are let through, and the score with none of them."""
    shares = integrated(model, ids, [token], [other], steps=STEPS, with_heads=True)
    return shares, float(score_at(model, ids, [token], [other], share=0.0, with_heads=True)[0])


@dataclass(frozen=True)
class _Chosen:
    """A node that is kept."""

    place: Place
    worth: float
    by_rule: float


@dataclass(frozen=True)
class _Kept:
    """Nodes that are kept, the largest first, and what is left out."""

    chosen: tuple[_Chosen, ...]
    left_out: tuple[LeftOut, ...]
    n_above: int
    """Nodes above the threshold."""


@dataclass(frozen=True)
class _Group:
    """Nodes of one kind in one layer, as an array."""

    kind: Kind
    layer: int
    worth: Float[Tensor, "..."]
    by_rule: Float[Tensor, "..."]
    axes: tuple[str, ...]
    """What its axes are: fields of `Place`."""
    index: int = 0

    def places(self, flat: int) -> Place:
        """The node at a place of the array, counted through."""
        numbers = {"index": self.index}
        for name, size in zip(reversed(self.axes), reversed(self.worth.shape), strict=True):
            flat, numbers[name] = divmod(flat, size)
        return Place(self.kind, self.layer, **numbers)


def _groups(layers: Sequence[FrozenLayer], found: Relevance, shares: Shares | None, heads: Heads) -> list[_Group]:
    """All nodes that there are."""
    groups = [_Group("token", -1, found.tokens[0], found.tokens[0], ("position",))]
    for place, layer in enumerate(layers):
        cells, by_source = found.cells[place][0], found.heads[place][0]
        groups.append(
            _Group("cell", place, cells, cells if shares is None else shares.cells[place][0], ("position", "index"))
        )
        if heads == "by-source":
            groups.append(_Group("head", place, by_source, by_source, ("index", "position", "source")))
        elif heads == "whole":
            whole = by_source.sum(-1)
            ruled = whole if shares is None else shares.heads[place][0].T
            groups.append(_Group("head", place, whole, ruled, ("index", "position")))
        for number, (worth, bias) in enumerate(
            ((found.middle[place], layer.heads_bias), (found.stream[place], layer.cells_bias))
        ):
            own = (worth[0] * bias[0]).sum(-1)
            groups.append(_Group("bias", place, own, own, ("position",), number))
    return groups


def _choose(
    layers: Sequence[FrozenLayer],
    found: Relevance,
    shares: Shares | None,
    heads: Heads,
    threshold: float,
    most: int,
) -> _Kept:
    """The largest nodes."""
    least = max(threshold * abs(float(found.scores.values[0])), 1e-12)
    groups, chosen, n_above = _groups(layers, found, shares, heads), [], 0
    for group in groups:
        flat, worth = group.by_rule.flatten(), group.worth.flatten()
        n_above += int((flat.abs() >= least).sum())
        best = flat.abs().topk(min(most, len(flat)))
        for size, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            if size >= least:
                chosen.append(_Chosen(group.places(place), float(worth[place]), float(flat[place])))
    chosen.sort(key=lambda one: (-abs(one.by_rule), one.place.layer, one.place.position, one.place.index))
    kept = tuple(chosen[:most])
    kinds: list[Kind] = ["token", "cell", "head", "bias"]
    left_out = tuple(_left_out(kind, groups, kept) for kind in kinds if kind != "head" or heads != "through")
    return _Kept(kept, left_out, n_above)


def _left_out(kind: Kind, groups: Sequence[_Group], kept: Sequence[_Chosen]) -> LeftOut:
    worths = [one.worth for one in groups if one.kind == kind]
    own = [one.worth for one in kept if one.place.kind == kind]
    return LeftOut(
        kind=kind,
        n=sum(int((one != 0).sum()) for one in worths),
        n_kept=len(own),
        size=sum(float(one.double().abs().sum()) for one in worths),
        size_kept=sum(map(abs, own)),
        worth=sum(float(one.double().sum()) for one in worths),
        worth_kept=sum(own),
    )


@dataclass(frozen=True)
class _KeptEdges:
    """Edges that are kept, the largest first; a target of None is the score."""

    kept: tuple[tuple[Place, Place | None, float], ...]
    n_above: int
    """Edges above the threshold."""
    n: int
    size: float
    drawn: dict[Place | None, float]
    """What the edges into a node that are kept come to."""


def _edges(
    layers: Sequence[FrozenLayer],
    found: Relevance,
    chosen: Sequence[_Chosen],
    heads: Heads,
    threshold: float,
    most: int,
) -> _KeptEdges:
    edges = Edges(layers, found, [one.place for one in chosen])
    sizes: dict[Place | None, float] = {one.place: abs(one.worth) for one in chosen}
    sizes[None] = abs(float(found.scores.values[0]))
    into: list[tuple[Place | None, Tensor]] = []
    if chosen:
        targets = [one.place for one in chosen if one.place.kind in ("cell", "head")]
        if heads == "through":
            into = [(None, edges.score_through_heads()), *zip(targets, edges.through_heads(targets), strict=True)]
        else:
            into = [(None, edges.into_score()), *((one, edges.into(one)) for one in targets)]
    every: list[tuple[Place, Place | None, float]] = []
    for target, row in into:
        large = (row.abs() >= max(threshold * sizes[target], 1e-12)).nonzero().squeeze(1)
        every += [(edges.places[source], target, float(row[source])) for source in large.tolist()]
    every.sort(key=lambda one: -abs(one[2]))
    shown = tuple(every[:most])
    drawn: dict[Place | None, float] = {None: 0.0}
    for _, target, own in shown:
        drawn[target] = drawn.get(target, 0.0) + own
    n = sum(int((row != 0).sum()) for _, row in into)
    return _KeptEdges(shown, len(every), n, sum(float(row.abs().sum()) for _, row in into), drawn)


def _node(
    model: Transformer,
    index: Index | None,
    layers: Sequence[FrozenLayer],
    one: _Chosen,
    n_before: int,
    drawn: dict[Place | None, float],
) -> Node:
    place = one.place
    at = place.position - n_before
    node = Node(
        name=f"token@{at}",
        kind=place.kind,
        layer=None if place.kind == "token" else place.layer,
        index=place.index if place.kind in ("cell", "head") else None,
        position=place.position,
        source=None if place.source < 0 else place.source,
        worth=one.worth,
        by_rule=one.by_rule,
        drawn=drawn.get(place, 0.0),
    )
    if place.kind == "token":
        return node
    layer = model.cells.layers[place.layer].name
    if place.kind == "bias":
        return replace(node, name=f"{layer}.{'bias' if place.index else 'attention-bias'}@{at}")
    if place.kind == "head":
        source = "" if place.source < 0 else f"<{place.source - n_before}"
        return replace(node, name=f"{layer}.H{place.index}@{at}{source}")
    m = float(layers[place.layer].cells.coefficients[0, place.position, place.index])
    cell = describe(model, index, place.layer, place.index, m)
    return replace(node, name=f"{cell.cell}@{at}", cell=cell)


def _told(
    model: Transformer,
    found: Relevance,
    asked: _Asked,
    rule: Rule,
    heads: Heads,
    threshold: float,
    kept: _Kept,
    edges: _KeptEdges,
    nodes: tuple[Node, ...],
    base: float | None,
) -> Circuit:
    """The graph as a record."""
    read, token, logits = asked.read, asked.token, asked.logits
    tokens = [
        AttentionToken(display(model.vocabulary[one]), one, place < len(read.before))
        for place, one in enumerate(read.to_continue)
    ]
    names = {one.place: node.name for one, node in zip(kept.chosen, nodes, strict=True)}
    return Circuit(
        model=model.facts.name,
        text=asked.text,
        tokens=tuple(tokens),
        n_before=len(read.before),
        target=display(model.vocabulary[token]),
        target_id=token,
        against=None if asked.other is None else display(model.vocabulary[asked.other]),
        score=float(found.scores.values[0]),
        quantity=model.unembedding.quantity,
        probability=float(logits.softmax(-1)[0, token]),
        rank=int(rank_of(logits, torch.tensor([token], device=logits.device))),
        rule=rule,
        heads=heads,
        threshold=threshold,
        layers=tuple(one.name for one in model.cells.layers),
        constant=float(found.scores.constants[0]),
        inner_biases=float(found.biases[0, :, 1:].sum()),
        nodes=nodes,
        edges=tuple(Edge(names[one], SCORE if two is None else names[two], worth) for one, two, worth in edges.kept),
        score_drawn=edges.drawn[None],
        left_out=kept.left_out,
        n_edges=edges.n,
        edge_size=edges.size,
        edge_size_kept=sum(abs(worth) for _, _, worth in edges.kept),
        at_limit=kept.n_above > len(nodes) or edges.n_above > len(edges.kept),
        error=float((found.cuts[0] - found.scores.values[0]).abs().max()),
        base_score=base,
    )
