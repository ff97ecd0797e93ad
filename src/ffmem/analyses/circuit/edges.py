"""What one node is worth by way of another: the parts of the stream that a node read, and what they were worth to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.circuit.frozen import FrozenLayer
from ffmem.analyses.circuit.graph_parts import Kind
from ffmem.analyses.circuit.relevance import Relevance

_AT_ONCE = 32
"""Cells whose edges through attention are followed together: so many x positions x d_model numbers."""


@dataclass(frozen=True)
class Place:
    """Where a node stands."""

    kind: Kind
    layer: int
    """-1 for tokens."""
    index: int
    """Of the cell, or head; of a bias 0 for attention and 1 for cells."""
    position: int
    source: int = -1
    """The token that a head read, where heads have a node for each; -1: all of them."""

    def written(self) -> int:
        """When its part is added: tokens first, then layer by layer attention and cells."""
        if self.kind == "token":
            return 0
        of_cells = self.kind == "cell" or (self.kind == "bias" and self.index == 1)
        return 2 * self.layer + (2 if of_cells else 1)

    def read(self, layers: Sequence[FrozenLayer]) -> int:
        """What was added before that is what it reads."""
        of_cells = self.kind == "cell" and not layers[self.layer].parallel
        return 2 * self.layer + (2 if of_cells else 1)


class Edges:
    """The edges between some nodes of one input.

    Args:
        layers: of the model, held at one input.
        found: what is worth what.
        places: the nodes.
    """

    def __init__(self, layers: Sequence[FrozenLayer], found: Relevance, places: Sequence[Place]) -> None:
        self._layers, self._found, self.places = layers, found, places
        device = found.tokens.device
        self.parts = torch.stack([self._part(one) for one in places]) if places else torch.zeros(0, 0)
        self._position = torch.tensor([one.position for one in places], device=device)
        self._written = torch.tensor([one.written() for one in places], device=device)

    def _part(self, one: Place) -> Float[Tensor, "d_model"]:
        """What a node added to the stream at its position."""
        if one.kind == "token":
            return self._layers[0].states.layer_input[0, one.position].float()
        layer = self._layers[one.layer]
        if one.kind == "head":
            return layer.head_part(0, one.index, one.position, None if one.source < 0 else one.source)
        if one.kind == "bias":
            return (layer.cells_bias if one.index else layer.heads_bias)[0, one.position]
        at = torch.tensor([one.position], device=self._found.tokens.device)
        return layer.cell_parts(0, at, torch.full_like(at, one.index))[0]

    def into_score(self) -> Float[Tensor, "nodes"]:
        """What each node is worth by itself, through no other: only those at the last position are worth anything."""
        last = self._found.tokens.shape[1] - 1
        worth = self.parts.double() @ self._found.scores.directions[0].double()
        return torch.where(self._position == last, worth, 0.0)

    def reads(self, one: Place) -> Float[Tensor, "positions d_model"]:
        """What the stream in front of a cell or head is worth to the score by way of it, at each position."""
        layer, found = self._layers[one.layer], self._found
        if one.kind == "head":
            gain = found.head_gains[one.layer][0, one.index, one.position]
            return layer.head_reads(0, one.index, one.position, gain, None if one.source < 0 else one.source)
        at = torch.tensor([one.position], device=found.tokens.device)
        cell = torch.full_like(at, one.index)
        gain = found.gains[one.layer][0, at, cell]
        reads = torch.zeros_like(found.stream[0][0])
        reads[one.position] = layer.cell_reads(0, at, cell, gain)[0]
        return reads

    def into(self, one: Place) -> Float[Tensor, "nodes"]:
        """What each node is worth by way of a cell or head that read it directly."""
        worth = (self.parts * self.reads(one)[self._position]).sum(-1)
        return torch.where(self._written < one.read(self._layers), worth, 0.0)

    def through_heads(self, cells: Sequence[Place]) -> Float[Tensor, "cells nodes"]:
        """What each node is worth by way of some cells, directly or through any heads, but through no cell between.

        Cost: of each cell, the values and outputs of all attention below it once more.
        """
        found = []
        for start in range(0, len(cells), _AT_ONCE):
            some = cells[start : start + _AT_ONCE]
            worth = torch.stack([self.reads(one) for one in some])
            found.append(self._downwards(worth, torch.tensor([one.layer for one in some], device=worth.device), some))
        return torch.cat(found) if found else torch.zeros(0, len(self.places))

    def score_through_heads(self) -> Float[Tensor, "nodes"]:
        """What each node is worth to the score, directly or through any heads, but through no cell."""
        worth = torch.zeros_like(self._found.stream[0])
        worth[0, -1] = self._found.scores.directions[0]
        top = torch.tensor([len(self._layers)], device=worth.device)
        return self._downwards(worth, top, ())[0]

    def _downwards(
        self, worth: Float[Tensor, "n positions d_model"], starts: Tensor, cells: Sequence[Place]
    ) -> Float[Tensor, "n nodes"]:
        """Follow what is worth something down through attention alone.

        Args:
            worth: at the layer where each begins.
            starts: that layer; one more than there are for the score.
            cells: whose reads these are: none for the score.
        """
        result = worth.new_zeros(len(worth), len(self.places))
        reads = torch.tensor([one.read(self._layers) for one in cells] or [2 * len(self._layers) + 1])
        for place in range(min(int(starts.max()), len(self._layers) - 1), -1, -1):
            layer = self._layers[place]
            self._collect(result, worth, reads, 2 * place + 2)
            reached = (reads.to(worth.device) > 2 * place + 1)[:, None, None]
            through, _ = layer.heads_back(layer.heads_gain(torch.where(reached, worth, 0.0)))
            self._collect(result, worth, reads, 2 * place + 1)
            worth = worth + through
        self._collect(result, worth, reads, 0)
        return result

    def _collect(self, result: Tensor, worth: Tensor, reads: Tensor, written: int) -> None:
        """Note what nodes that were added at one moment are worth there."""
        which = (self._written == written).nonzero().squeeze(1)
        if len(which):
            own = torch.einsum("md,nmd->nm", self.parts[which], worth[:, self._position[which]])
            result[:, which] = torch.where(reads.to(own.device)[:, None] > written, own, 0.0)
