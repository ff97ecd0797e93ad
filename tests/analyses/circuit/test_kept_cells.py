"""Cells at their mean over counterfactuals: all kept is the model, none kept is no more than the means."""

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.circuit.kept_cells import KeptCells, Nodes, coefficients_of, mean_coefficients
from ffmem.analyses.circuit.pairs import Group, align
from ffmem.analyses.circuit.tasks import make_pairs
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.toy import words_of


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transformer, Group]:
    model = load_model(words_of(tmp_path_factory.mktemp("worded")))
    groups = align(model, make_pairs(model, "induction", 12)).groups
    return model, max(groups, key=len)


def slow(model: Transformer, group: Group, kept: torch.Tensor, base: list[torch.Tensor]) -> list[float]:
    """Prompt by prompt, the input of c_proj written by hand."""
    found, split = [], Nodes.of(model, group.ids.shape[1]).split(kept)
    for ids, right, wrong in zip(group.ids, group.right, group.wrong, strict=True):
        hooks = []
        for block, mask, stands in zip(model.module.transformer.h, split, base, strict=True):

            def put(_: object, arguments: tuple[torch.Tensor], mask=mask, stands=stands) -> tuple[torch.Tensor]:  # type: ignore[no-untyped-def]
                states = arguments[0].clone()
                for position in range(mask.shape[0]):
                    for cell in range(mask.shape[1]):
                        if not mask[position, cell]:
                            states[0, position, cell] = stands[position, cell]
                return (states,)

            hooks.append(block.mlp.c_proj.register_forward_pre_hook(put))
        with torch.no_grad():
            logits = model.module(ids[None]).logits[0, -1].double()
        for hook in hooks:
            hook.remove()
        found.append(float(logits[right] - logits[wrong]))
    return found


def test_what_is_left_of_a_model_is_that_of_a_slow_loop(worded: tuple[Transformer, Group]) -> None:
    model, group = worded
    base = mean_coefficients(model, group.counterfactual_ids)
    one_by_one = [coefficients_of(model, ids[None]) for ids in group.counterfactual_ids]
    for layer, mean in enumerate(base):
        assert (mean - torch.stack([one[layer][0] for one in one_by_one]).mean(0)).abs().max() < 1e-5
    trial = KeptCells(model, group, base)
    n = len(trial.nodes)
    assert n == group.ids.shape[1] * 2 * 24
    whole = trial.scores(torch.ones(n, dtype=torch.bool))
    assert whole.tolist() == pytest.approx(group.whole.tolist(), abs=1e-5)
    torch.manual_seed(1)
    for kept in (torch.rand(n) < 0.5, torch.zeros(n, dtype=torch.bool)):
        assert trial.scores(kept).tolist() == pytest.approx(slow(model, group, kept, base), abs=1e-5)


def test_all_cells_of_the_counterfactual_put_the_counterfactuals_own_in(worded: tuple[Transformer, Group]) -> None:
    model, group = worded
    trial = KeptCells(model, group, mean_coefficients(model, group.counterfactual_ids))
    n = len(trial.nodes)
    assert trial.swapped(torch.zeros(n, dtype=torch.bool)).tolist() == pytest.approx(group.whole.tolist(), abs=1e-5)
    for row in range(2):  # prompt by prompt, its own counterfactual's cells
        other = coefficients_of(model, group.counterfactual_ids[row : row + 1])
        alone = KeptCells(model, group[row : row + 1], [one[0] for one in other])
        expected = alone.scores(torch.zeros(n, dtype=torch.bool))
        found = trial.swapped(torch.ones(n, dtype=torch.bool))[row]
        assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_nodes_are_numbered_by_layer_position_and_cell() -> None:
    nodes = Nodes(3, (2, 4))
    assert nodes.starts == [0, 6, 18] and len(nodes) == 18
    assert nodes.cells(torch.tensor([0, 1, 2, 5, 6, 17])) == [(0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 3)]
    values = torch.arange(18)
    one, other = nodes.split(values)
    assert one[2].tolist() == [4, 5] and other[1].tolist() == [10, 11, 12, 13]
    assert nodes.join([one, other]).tolist() == values.tolist()
    assert nodes.mask(torch.tensor([3])).nonzero().flatten().tolist() == [3]
