"""The graph of a planted chain is that chain; what is left out of any graph is counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.circuit.graph import circuit
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.toy import chain

Folder = Callable[[str], Path]
TEXT = "The silver river of the winter village"


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return load_model(chain(tmp_path_factory.mktemp("chain")))


def test_a_planted_chain_is_found_exactly(chained: Transformer) -> None:
    found = circuit(chained, "blue dog red", target="sun", threshold=0.02)
    at = len(found.tokens) - 1 - found.n_before
    by_kind = {kind: {one.name for one in found.nodes if one.kind == kind} for kind in ("token", "cell", "head")}
    assert by_kind["cell"] == {f"L0.2@{at}", f"L1.4@{at}"}
    assert by_kind["token"] == {f"token@{at}"} and not by_kind["head"]
    edges = {(one.source, one.target): one.worth for one in found.edges}
    way = [(f"token@{at}", f"L0.2@{at}"), (f"L0.2@{at}", f"L1.4@{at}"), (f"L1.4@{at}", "score")]
    assert set(way) <= set(edges) and all(edges[one] > 0.5 * found.score for one in way)
    assert found.total == pytest.approx(found.score, abs=1e-5)


@pytest.mark.parametrize("cell", [(0, 2), (1, 4)])
def test_cutting_a_link_of_the_chain_gives_nothing(cell: tuple[int, int], chained: Transformer) -> None:
    ids = torch.tensor([chained.tokenizer("blue dog red").input_ids])

    def without(layer: int, m: torch.Tensor) -> torch.Tensor | None:
        if layer != cell[0]:
            return None
        other = m.clone()
        other[..., cell[1]] = 0
        return other

    sun = chained.tokenizer.get_vocab()["sun"]
    with torch.no_grad():
        whole = float(chained.module(ids).logits[0, -1, sun])
        with chained.change_coefficients(without):
            cut = float(chained.module(ids).logits[0, -1, sun])
    assert whole > 1 and cut < 0 + 1e-5  # without "sun" in it, the last norm leaves that less than nothing


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_with_no_threshold_everything_is_drawn(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    found = circuit(model, "The cat", threshold=0.0, most_nodes=10**6, most_edges=10**7)
    assert all(one.share == pytest.approx(0.0, abs=1e-6) for one in found.left_out if one.n)
    assert found.edge_size_kept == pytest.approx(found.edge_size, rel=1e-4)
    assert found.score_drawn == pytest.approx(found.score - found.constant, abs=1e-4)
    assert found.total == pytest.approx(found.score, abs=1e-4)
    assert found.error < 1e-4
    some = circuit(model, "The cat", threshold=0.05)
    least = 0.05 * abs(some.score)
    assert {one.name for one in some.nodes} == {one.name for one in found.nodes if abs(one.worth) >= least}
    for one in some.left_out:
        own = [abs(node.worth) for node in some.nodes if node.kind == one.kind]
        assert one.n_kept == len(own) and one.size_kept == pytest.approx(sum(own))
    few = circuit(model, "The cat", threshold=0.0, most_nodes=7, most_edges=5)
    assert [one.name for one in few.nodes] == [one.name for one in found.nodes[:7]] and len(few.edges) == 5
    assert few.at_limit and not found.at_limit and not some.at_limit


def test_heads_by_source_are_parts_of_the_whole_ones(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    whole = circuit(model, "The", threshold=0.0, most_nodes=10**6)
    split = circuit(model, "The", heads="by-source", threshold=0.0, most_nodes=10**6)
    sums: dict[str, float] = {}
    for one in split.nodes:
        if one.kind == "head":
            sums[one.name.partition("<")[0]] = sums.get(one.name.partition("<")[0], 0.0) + one.worth
    assert sums == pytest.approx({one.name: one.worth for one in whole.nodes if one.kind == "head"}, abs=1e-5)


def test_the_second_way_is_of_the_model_itself(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    found = circuit(model, "The cat", target="t", rule="ig", threshold=0.0, most_nodes=10**6)
    assert found.base_score is not None
    added = sum(one.by_rule for one in found.nodes if one.kind in ("cell", "head"))
    assert found.base_score + added == pytest.approx(found.score, abs=0.1 * abs(found.score - found.base_score) + 0.01)
    relp = circuit(model, "The cat", target="t", threshold=0.0, most_nodes=10**6)
    assert {one.name: one.worth for one in found.nodes} == pytest.approx(
        {one.name: one.worth for one in relp.nodes}, abs=1e-6
    )
    through = circuit(model, "The cat", target="t", heads="through")
    assert not [one for one in through.nodes if one.kind == "head"] and through.score == relp.score


def test_what_cannot_be_asked_is_told(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    with pytest.raises(InputError, match="threshold is 2"):
        circuit(model, TEXT, threshold=2)
    with pytest.raises(InputError, match="because of which token"):
        circuit(model, TEXT, rule="ig", heads="by-source")
    with pytest.raises(InputError, match="no token"):
        circuit(model, "")
    with pytest.raises(InputError, match=r"passes through a norm|not a causal"):
        circuit(load_model(tiny_folder("bert")), TEXT)
    found = circuit(model, TEXT)
    assert "size left out" in found._repr_html_() and found.nodes[0].name in found._repr_html_()
    assert replace(found, edges=()).to_json()["edges"] == []
