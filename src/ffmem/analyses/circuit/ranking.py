"""Which cells, at which positions, a template's prompts need, by several rules: those of a graph, and rivals of them."""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.circuit.gates import gradient_times_activation, integrated
from ffmem.analyses.circuit.kept_cells import Nodes, coefficients_of
from ffmem.analyses.circuit.pairs import Group
from ffmem.analyses.circuit.relevance import relevance, run_frozen, scores_of
from ffmem.models.transformer import Transformer

RankRule = Literal["relp", "ig", "gradient", "activation", "random"]
"""relp: (m - m of the counterfactual) times what one more of m is worth in the frozen model; ig: integrated gradients from the
counterfactual's coefficients, in the model itself; gradient: the same at the prompt alone; activation: |m||v|, which knows of
no score; random: cells at random, as many in each layer as relp takes."""
RULES: tuple[RankRule, ...] = get_args(RankRule)
_AT_ONCE = 8
"""Pairs of a pass: what relevance keeps is rows x positions x cells twice over."""


def ranked(
    model: Transformer, group: Group, rule: RankRule, *, steps: int = 10, seed: int = 0
) -> Int64[Tensor, "nodes"]:
    """All nodes of a template, those first that the rule says most of; ties by their number.

    Args:
        model: the model.
        group: the pairs to locate them by.
        rule: how.
        steps: of integrated gradients.
        seed: of random nodes.

    Cost: for each pair about four passes by relp, two and a bit by gradient, three a step by ig, one by activation.
    """
    if rule == "random":
        return at_random(Nodes.of(model, group.ids.shape[1]), ranked(model, group, "relp"), seed)
    order = node_scores(model, group, rule, steps=steps).abs().argsort(descending=True, stable=True)
    return order.cpu()


def node_scores(model: Transformer, group: Group, rule: RankRule, *, steps: int = 10) -> Float[Tensor, "nodes"]:
    """What a rule says of each node, the mean over pairs."""
    nodes = Nodes.of(model, group.ids.shape[1])
    total = torch.zeros(len(nodes), dtype=torch.float64, device=model.device)
    for start in range(0, len(group), _AT_ONCE):
        some = group[start : start + _AT_ONCE]
        layers = _scores(model, some, rule, steps)
        total += nodes.join([one.double().sum(0) for one in layers])
    return total / len(group)


def _scores(
    model: Transformer, some: Group, rule: RankRule, steps: int
) -> list[Float[Tensor, "pairs positions cells"]]:
    if rule == "activation":
        return [
            m.abs() * model.values(place).float().norm(dim=1)
            for place, m in enumerate(coefficients_of(model, some.ids))
        ]
    others = coefficients_of(model, some.counterfactual_ids)
    if rule == "relp":
        layers = run_frozen(model, some.ids)
        found = relevance(model, layers, scores_of(model, layers, some.right, some.wrong))
        differ = zip(layers, others, found.gains, strict=True)
        return [(layer.cells.coefficients - other) * gain for layer, other, gain in differ]
    if rule == "gradient":
        shares = gradient_times_activation(model, some.ids, some.right, some.wrong, base=others.__getitem__)
    else:
        shares = integrated(model, some.ids, some.right, some.wrong, base=others.__getitem__, steps=steps)
    return list(shares.cells)


def at_random(nodes: Nodes, like: Int64[Tensor, "nodes"], seed: int) -> Int64[Tensor, "nodes"]:
    """Another order of all nodes that takes as many of each layer, after any number of them, as a given order does."""
    rng = np.random.default_rng(seed)
    starts = np.array(nodes.starts)
    layers = np.searchsorted(starts, like.numpy(), side="right") - 1
    found = np.empty(len(layers), dtype=np.int64)
    for layer in range(len(nodes.sizes)):
        found[layers == layer] = starts[layer] + rng.permutation(starts[layer + 1] - starts[layer])
    return torch.from_numpy(found)
