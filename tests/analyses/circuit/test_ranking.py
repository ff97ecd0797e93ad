"""Rules that order nodes: a planted chain comes first; random ones are of the same layers."""

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.circuit.kept_cells import Nodes, coefficients_of
from ffmem.analyses.circuit.pairs import Group, align
from ffmem.analyses.circuit.ranking import RankRule, at_random, node_scores, ranked
from ffmem.analyses.circuit.tasks import Pair
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.toy import chain


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transformer, Group]:
    model = load_model(chain(tmp_path_factory.mktemp("chain")))
    words = ("blue", "cat", "dog", "sea", "land", "day", "night", "old", "moon")
    pairs = [Pair("t", f"{one} red", f"{one} dog", "sun", "moon") for one in words]
    return model, align(model, pairs).groups[0]


@pytest.mark.parametrize("rule", ["relp", "ig", "gradient"])
def test_a_planted_chain_comes_first(rule: RankRule, chained: tuple[Transformer, Group]) -> None:
    model, group = chained
    order = ranked(model, group, rule)
    nodes = Nodes.of(model, group.ids.shape[1])
    assert set(nodes.cells(order[:2])) == {(0, 2), (1, 4)}
    assert sorted(order.tolist()) == list(range(len(nodes)))
    position = (order[:2] % (nodes.n_positions * nodes.sizes[0])) // nodes.sizes[0]
    assert position.tolist() == [1, 1]  # at the last token


def test_strength_alone_knows_of_no_score(chained: tuple[Transformer, Group]) -> None:
    model, group = chained
    nodes = Nodes.of(model, group.ids.shape[1])
    found = nodes.split(node_scores(model, group, "activation").float())
    m = coefficients_of(model, group.ids)
    for place, own in enumerate(found):
        expected = (m[place].abs() * model.values(place).norm(dim=1)).mean(0)
        assert (own - expected).abs().max() < 1e-5
    assert float(found[0][1, 3]) > 0  # the cell that nobody reads


def test_random_nodes_are_as_many_of_each_layer() -> None:
    nodes = Nodes(2, (3, 5))
    like = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    found = at_random(nodes, like, seed=1)
    assert sorted(found.tolist()) == list(range(16)) and found.tolist() != like.tolist()
    layer = [int(one >= 6) for one in like.tolist()]
    assert [int(one >= 6) for one in found.tolist()] == layer
    assert at_random(nodes, like, seed=2).tolist() != found.tolist()
