"""A graph in a terminal."""

from dataclasses import replace

import torch

from ffmem import render
from ffmem.analyses.circuit.pairs import Aligned, Group
from ffmem.analyses.circuit.tasks import Pair
from ffmem.render.circuit import node_words, slug
from tests.fixtures.made_circuit import made_circuit


def test_the_largest_nodes_what_flows_into_the_score_and_what_is_left_out() -> None:
    told = render.circuit(made_circuit(name="water"))
    assert "⟨ bank⟩: rank 0, probability 0.5000, score 4.0000, the logit" in told
    assert "cells: 2 of 200 kept, 50 % of the size of all left out" in told
    assert "  +3.0000 ████████████ L0.3@1 at ⟨ river⟩  = water (human)" in told or "L0.3@1 at ⟨ river⟩  = water" in told
    assert "L1.7@1 at ⟨ river⟩ → ⟨ sea⟩ ⟨s⟩" in told
    assert "3 edges are drawn, together +3.7500" in told and "6 nodes by relevance, 6 of 9 edges" in told
    assert "tokens and biases come to 4.0000, which differs from the score by 0.0e+00" in told


def test_what_differs_under_the_other_rule_and_without_edges() -> None:
    told = render.circuit(made_circuit(rule="ig", base_score=1.5, edges=(), against=" sea"))
    assert "⟨ bank⟩ over ⟨ sea⟩" in told and "by integrated gradients" in told
    assert (
        "with all cells and heads taken out the score is 1.5000" in told and "no edge straight into the score" in told
    )
    found = made_circuit()
    head = replace(found.nodes[2], name="L1.H1@1<0", source=1)
    assert node_words(found, head) == "L1.H1@1<0 at ⟨ river⟩ from ⟨the⟩"
    many = render.circuit(made_circuit(nodes=found.nodes * 10))
    assert "and 30 more" in many and "--nodes and --edges" not in many
    assert "--nodes and --edges" in render.circuit(made_circuit(at_limit=True))


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in render.circuit(made_circuit(tokens=("a", "\x1b[2J", "\n"), target="\x1b"))
    assert slug(["a B", "<é>", "c/d"]) == "a-b-c-d" and slug(["é"]) == "prompt"


def test_pairs_of_a_task() -> None:
    pair = Pair("simple", "The boy", "The boys", " is", " are")
    ids = torch.zeros(1, 3, dtype=torch.long)
    group = Group("simple", (pair,), ids, ids, (1,), (2,), torch.tensor([1.5], dtype=torch.float64))
    told = render.task_pairs("agreement", Aligned((group,), 4, 1, 2, {"simple": (3, 1)}))
    assert "agreement: 4 pairs, 1 not of the length" in told and "simple: 1 of 3 right" in told
    assert "+1.500  The boy ⟨ is⟩, not ⟨ are⟩ as after: The boys" in told
