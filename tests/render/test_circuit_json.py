"""A graph as viewers of attribution graphs read it."""

from dataclasses import replace

import pytest

from ffmem.json_values import json_text
from ffmem.render.circuit_json import viewer_graph
from tests.fixtures.made_circuit import made_circuit

REQUIRED = {
    "node_id": str, "feature": int, "layer": str, "ctx_idx": int, "feature_type": str, "token_prob": float,
    "is_target_logit": bool, "run_idx": int, "reverse_ctx_idx": int, "jsNodeId": str, "clerp": str,
}  # fmt: skip
"""What the schema of these graphs wants of a node, and of which type."""


def test_it_has_what_the_schema_wants() -> None:
    found = viewer_graph(made_circuit())
    assert set(found) == {"metadata", "qParams", "nodes", "links"}
    assert found["metadata"]["prompt_tokens"] == ["<s>", "the", " river"] and found["metadata"]["prompt"] == "the river"
    assert set(found["qParams"]) == {"linkType", "pinnedIds", "clickedId", "supernodes", "sg_pos"}
    for node in found["nodes"]:
        for name, kind in REQUIRED.items():
            assert type(node[name]) is kind, (node["node_id"], name)
    ids = [one["node_id"] for one in found["nodes"]]
    assert len(ids) == len(set(ids)) == 7 and len({one["jsNodeId"] for one in found["nodes"]}) == 7
    assert all({one["source"], one["target"]} <= set(ids) for one in found["links"])
    assert json_text(found)


def test_nodes_are_named_by_layer_feature_and_position() -> None:
    found = viewer_graph(made_circuit())
    by_name = {one["ffmem_name"]: one for one in found["nodes"]}
    assert by_name["L0.3@1"]["node_id"] == "0_3_2" and by_name["L0.3@1"]["feature_type"] == "cross layer transcoder"
    assert by_name["token@0"]["node_id"] == "E_41_1" and by_name["token@0"]["feature_type"] == "embedding"
    score = by_name["score"]
    assert (score["node_id"], score["layer"], score["feature_type"]) == ("3_77_2", "3", "logit")
    assert score["is_target_logit"] and score["token_prob"] == 0.5
    assert by_name["token@0"]["reverse_ctx_idx"] == 1
    weights = {(one["source"], one["target"]): one["weight"] for one in found["links"]}
    assert weights["0_3_2", "3_77_2"] == 2.75 and weights["0_3_2", "1_7_2"] == -0.75 and len(weights) == 6
    influence = [one["influence"] for one in found["nodes"][:-1]]
    assert influence == sorted(influence) and influence[0] == pytest.approx(3 / 9) and influence[-1] == pytest.approx(1)


def test_heads_by_source_and_biases_never_share_a_name() -> None:
    found = made_circuit()
    head = found.nodes[2]
    heads = [replace(head, name=f"L1.H1@1<{source}", source=source) for source in range(3)]
    bias = found.nodes[5]
    biases = [bias, replace(bias, name="L1.attention-bias@1")]
    cells = [replace(found.nodes[4], name="L1.1@1", index=1)]
    made = viewer_graph(replace(found, nodes=(*heads, *biases, *cells), edges=()))
    assert len({one["node_id"] for one in made["nodes"]}) == 7
