"""An attribution graph in the JSON that public viewers of such graphs read: metadata, qParams, nodes, links.

The form is that of the attribution graphs of Ameisen et al. (2025), as circuit-tracer writes it and Neuronpedia reads it. Their
nodes are features of transcoders; ours are cells, so ``scan`` names no set of features that a viewer could look up.
"""

from typing import TYPE_CHECKING

from ffmem.json_values import JsonObject
from ffmem.render.circuit import node_words, slug

if TYPE_CHECKING:
    from ffmem.analyses.circuit.graph_parts import Circuit, Node

_TYPES = {
    "token": "embedding",
    "cell": "cross layer transcoder",
    "head": "attention head",
    "bias": "mlp reconstruction error",
}
"""Under the names that viewers draw: dots for cells, squares for tokens, diamonds for what no feature stands for."""
_HEADS, _BIASES = 1_000_000, 2_000_000
"""Features of one layer are told apart by number: heads and biases stand behind all cells."""


def viewer_graph(found: "Circuit") -> JsonObject:
    """The graph as one JSON object.

    A node is ``LAYER_FEATURE_POSITION``, a token ``E_TOKEN_POSITION``, the score one layer above the last. ``influence`` is
    what the rule says of a node as a share of all that nodes have, added up from the largest on, as viewers prune by it;
    ``activation`` is a cell's coefficient. A link's weight is what its source is worth to the score by way of its target.
    """
    ids = {one.name: _node_id(found, one) for one in found.nodes}
    score = f"{len(found.layers) + 1}_{found.target_id}_{len(found.tokens) - 1}"
    ids["score"] = score
    name = slug([found.model, found.text, found.target])
    return {
        "metadata": {
            "slug": name,
            "scan": found.model,
            "transcoder_list": [],
            "prompt_tokens": [one.text for one in found.tokens],
            "prompt": found.text,
            "node_threshold": None,
            "schema_version": 1,
            "info": {
                "creator_name": "ffmem",
                "neurons": True,
                "rule": found.rule,
                "score": found.score,
                "against": found.against,
                "threshold": found.threshold,
            },
        },
        "qParams": {"linkType": "both", "pinnedIds": [score], "clickedId": "", "supernodes": [], "sg_pos": ""},
        "nodes": [*_nodes(found, ids), _score_node(found, score)],
        "links": [{"source": ids[one.source], "target": ids[one.target], "weight": one.worth} for one in found.edges],
    }


def _nodes(found: "Circuit", ids: dict[str, str]) -> list[JsonObject]:
    whole = sum(abs(one.by_rule) for one in found.nodes) or 1.0
    nodes, so_far = [], 0.0
    for one in found.nodes:
        so_far += abs(one.by_rule)
        layer, feature, _ = ids[one.name].split("_")
        nodes.append(
            {
                "node_id": ids[one.name],
                "feature": int(feature),
                "layer": layer,
                "ctx_idx": one.position,
                "feature_type": _TYPES[one.kind],
                "token_prob": 0.0,
                "is_target_logit": False,
                "run_idx": 0,
                "reverse_ctx_idx": len(found.tokens) - 1 - one.position,
                "jsNodeId": f"{layer}_{feature}-{one.position}",
                "clerp": node_words(found, one),
                "influence": so_far / whole,
                "activation": None if one.cell is None else one.cell.coefficient,
                "ffmem_name": one.name,
                "ffmem_worth": one.worth,
            }
        )
    return nodes


def _node_id(found: "Circuit", one: "Node") -> str:
    if one.kind == "token":
        return f"E_{found.tokens[one.position].token_id}_{one.position}"
    feature = one.index or 0
    if one.kind == "head":
        feature = _HEADS + feature * (len(found.tokens) + 1) + (0 if one.source is None else one.source + 1)
    elif one.kind == "bias":
        feature = _BIASES + (0 if "attention" in one.name else 1)
    return f"{one.layer}_{feature}_{one.position}"


def _score_node(found: "Circuit", node_id: str) -> JsonObject:
    last = len(found.tokens) - 1
    against = "" if found.against is None else f" over {found.against!r}"
    return {
        "node_id": node_id,
        "feature": found.target_id,
        "layer": str(len(found.layers) + 1),
        "ctx_idx": last,
        "feature_type": "logit",
        "token_prob": found.probability,
        "is_target_logit": True,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"L_{found.target_id}-{last}",
        "clerp": f"Output {found.target!r}{against} (p={found.probability:.3f})",
        "influence": None,
        "activation": None,
        "ffmem_name": "score",
        "ffmem_worth": found.score,
    }
