"""States and vectors read over the vocabulary, by every lens that a model has."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.lenses.jacobian import AverageJacobian
from ffmem.models.transformer import Transformer
from ffmem.store.facts import Projection

Lens = Literal["raw", "own", "folded", "jacobian", "about means", "another layer", "random"]
LENSES: tuple[Lens, ...] = get_args(Lens)
"""raw and folded: those projections. own: as the model reads its last state ("final-norm", if it has one). jacobian: own, of
J h. about means: own, of E[h_last] + J (h - E[h]). another layer: own, of J h with the J of a layer half of the stack away.
random: own, of a random direction of the length of J h."""
CONTROLS: tuple[Lens, ...] = ("another layer", "random")
"""Lenses that nothing is expected of."""


@dataclass(frozen=True)
class Reader:
    """Reads what a model has after a layer.

    Args:
        model: a causal model.
        jacobian: its average Jacobian.
    """

    model: Transformer
    jacobian: AverageJacobian

    @cached_property
    def of_states(self) -> tuple[Lens, ...]:
        """The lenses that this model has for states: "raw" and "folded" where they are not its own way, or are missing."""
        there: dict[Lens, bool] = {
            one: one in self.model.unembedding.projections and one != self._own for one in ("raw", "folded")
        }
        return tuple(lens for lens in LENSES if there.get(lens, True))

    @cached_property
    def of_vectors(self) -> tuple[Lens, ...]:
        """The same for what is added to a state: means have no part in it."""
        return tuple(lens for lens in self.of_states if lens != "about means")

    @property
    def _own(self) -> Projection:
        return self.model.unembedding.own_projection

    @property
    def linear(self) -> Projection:
        """How what is added to the last state is read: linearly, where the model has a way."""
        return "folded" if "folded" in self.model.unembedding.projections else self._own

    def other(self, number: int) -> int:
        """The number of a layer half of the stack away; never the last, whose J is the identity, if there are three."""
        n = len(self.jacobian.places)
        if n < 3:
            return (number + 1) % n
        return (number + n // 2) % (n - 1)

    def states(
        self, lens: Lens, number: int, states: Float[Tensor, "n d_model"], generator: torch.Generator
    ) -> Float[Tensor, "n d_vocab"]:
        """Scores of states after a layer.

        Args:
            lens: one of `of_states`.
            number: of the layer, in the Jacobian's places.
            states: after it.
            generator: of random directions.
        """
        if lens == "raw" or lens == "folded":
            return self.model.project(states.float(), lens)
        if lens == "about means":
            return self._read(self.jacobian.expected(number, states), self._own)
        return self._read(self._transported(lens, number, states, generator), self._own)

    def vectors(
        self, lens: Lens, number: int, vectors: Float[Tensor, "n d_model"], generator: torch.Generator
    ) -> Float[Tensor, "n d_vocab"]:
        """Scores of what is added after a layer. What J makes of it is read as parts of the last state are: see `linear`."""
        if lens == "raw" or lens == "folded":
            return self.model.project(vectors.float(), lens)
        moved = self._transported(lens, number, vectors, generator)
        return self._read(moved, self._own if lens == "own" else self.linear)

    def added(
        self,
        lens: Lens,
        number: int,
        vectors: Float[Tensor, "n d_model"],
        last: Float[Tensor, "d_model"],
        generator: torch.Generator,
    ) -> Float[Tensor, "n d_vocab"]:
        """What a lens says that vectors which are added after a layer add to the scores of a last state which has them in it.

        Raw and folded as such. Others take what they make of a vector off the last state, and read both as the model does: so
        norms and normalisers have their part, and no constant has.
        """
        if lens == "raw" or lens == "folded":
            return self.model.project(vectors.float(), lens)
        moved = self._transported(lens, number, vectors, generator)
        return self._read(last[None], self._own) - self._read(last.float() - moved, self._own)

    def _transported(
        self, lens: Lens, number: int, states: Float[Tensor, "n d_model"], generator: torch.Generator
    ) -> Float[Tensor, "n d_model"]:
        if lens == "own":
            return states
        if lens == "another layer":
            return self.jacobian.moved(self.other(number), states)
        moved = self.jacobian.moved(number, states)
        if lens == "random":
            drawn = torch.randn(moved.shape, generator=generator).to(moved)
            moved = drawn / drawn.norm(dim=-1, keepdim=True) * moved.norm(dim=-1, keepdim=True)
        return moved

    def _read(self, states: Float[Tensor, "n d_model"], projection: Projection) -> Float[Tensor, "n d_vocab"]:
        if projection in ("raw", "folded"):
            return self.model.project(states.float(), projection)
        return self.model.project(states.to(self.model.module.dtype), projection).float()
