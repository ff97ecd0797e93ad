"""A model in which only some cells, at some positions, do what they do: the others stand at their mean over counterfactuals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from ffmem.analyses.circuit.pairs import BATCH, Group, own_scores
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class Nodes:
    """The candidates of a template: every cell at every position, counted through layer by layer, position by position."""

    n_positions: int
    sizes: tuple[int, ...]
    """Cells of each layer."""

    @classmethod
    def of(cls, model: Transformer, n_positions: int) -> "Nodes":
        """Of a model."""
        return cls(n_positions, tuple(layer.n_cells for layer in model.cells.layers))

    @property
    def starts(self) -> list[int]:
        """The number of the first node of each layer, and how many there are in all."""
        found = [0]
        for size in self.sizes:
            found.append(found[-1] + size * self.n_positions)
        return found

    def __len__(self) -> int:
        return self.starts[-1]

    def split(self, values: Tensor) -> list[Float[Tensor, "positions cells"]]:
        """An array over all nodes as one for each layer."""
        starts = self.starts
        return [values[one:other].view(self.n_positions, -1) for one, other in pairwise(starts)]

    def join(self, layers: Sequence[Float[Tensor, "positions cells"]]) -> Float[Tensor, "nodes"]:
        """The reverse."""
        return torch.cat([one.flatten() for one in layers])

    def mask(self, nodes: Int64[Tensor, "some"]) -> Bool[Tensor, "nodes"]:
        """True at some nodes."""
        found = torch.zeros(len(self), dtype=torch.bool)
        found[nodes] = True
        return found

    def cells(self, nodes: Int64[Tensor, "some"]) -> list[tuple[int, int]]:
        """The layer and row of each node, without its position."""
        starts = torch.tensor(self.starts)
        layers = torch.bucketize(nodes, starts, right=True) - 1
        sizes = torch.tensor(self.sizes)[layers]
        return list(zip(layers.tolist(), ((nodes - starts[layers]) % sizes).tolist(), strict=True))


def coefficients_of(
    model: Transformer, ids: Int[Tensor, "rows positions"]
) -> list[Float[Tensor, "rows positions cells"]]:
    """All coefficients of some rows, layer by layer."""
    found: list[Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: found.append(m.float().clone())):
        model.forward(ids)
    return found


def mean_coefficients(model: Transformer, ids: Int[Tensor, "rows positions"]) -> list[Float[Tensor, "positions cells"]]:
    """The mean of all coefficients over some rows, layer by layer."""
    total: list[Tensor] | None = None
    for start in range(0, len(ids), BATCH):
        some = [one.double().sum(0) for one in coefficients_of(model, ids[start : start + BATCH])]
        total = some if total is None else [one + other for one, other in zip(total, some, strict=True)]
    assert total is not None
    return [(one / len(ids)).float() for one in total]


class KeptCells:
    """A template's prompts in a model of which only some nodes are left.

    Args:
        model: the model.
        group: the prompts.
        base: where the others stand, layer by layer.
    """

    def __init__(self, model: Transformer, group: Group, base: Sequence[Float[Tensor, "positions cells"]]) -> None:
        self._model, self._group, self._base = model, group, base
        self.nodes = Nodes.of(model, group.ids.shape[1])

    def scores(self, kept: Bool[Tensor, "nodes"]) -> Float[Tensor, "pairs"]:
        """F of each prompt with these nodes alone as they are, at their own values in this very run."""
        masks = [one.to(self._model.device) for one in self.nodes.split(kept)]

        def change(layer: int, m: Tensor) -> Tensor:
            return torch.where(masks[layer], m, self._base[layer].to(m.dtype))

        with self._model.change_coefficients(change):
            return own_scores(self._model, self._group.ids, self._group.right, self._group.wrong)

    def swapped(self, nodes: Bool[Tensor, "nodes"]) -> Float[Tensor, "pairs"]:
        """F of each prompt with these nodes as they are in its counterfactual, all others as the model has them."""
        masks = [one.to(self._model.device) for one in self.nodes.split(nodes)]
        found = []
        for start in range(0, len(self._group), BATCH):
            some = self._group[start : start + BATCH]
            others = coefficients_of(self._model, some.counterfactual_ids)

            def change(layer: int, m: Tensor, others: list[Tensor] = others) -> Tensor:
                return torch.where(masks[layer], others[layer].to(m.dtype), m)

            with self._model.change_coefficients(change):
                found.append(own_scores(self._model, some.ids, some.right, some.wrong))
        return torch.cat(found)
