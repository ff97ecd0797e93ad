"""A dictionary beside a layer: its entries as cells, whose keys are the encoder's rows and whose values are the decoder's."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.errors import InputError
from ffmem.ids import LayerCells
from ffmem.models.dictionaries.places import OnStates, Surroundings, all_of
from ffmem.models.feed_forward import OnCoefficients, Stop
from ffmem.store.facts import DictionaryFacts


@dataclass(frozen=True)
class Dictionary:
    """A transcoder or sparse autoencoder; what it reconstructs is sum of m_i v_i + b, and what a skip matrix adds."""

    facts: DictionaryFacts
    around: Surroundings
    stack: int
    """Number of the stack that its layer is in."""
    keys: Float[Tensor, "cells d_in"]
    key_bias: Float[Tensor, "cells"]
    values: Float[Tensor, "cells d_out"]
    value_bias: Float[Tensor, "d_out"]
    """The b."""
    centre: Float[Tensor, "d_in"] | None
    """What is taken off the states before keys are compared with them."""
    threshold: Float[Tensor, "cells"] | None
    """Of "jumprelu": products up to it give 0."""
    skip: Float[Tensor, "d_out d_in"] | None

    @property
    def cells(self) -> LayerCells:
        """Its entries, as the cells of a layer of their own."""
        return self.facts.cells

    def coefficients(self, states: Float[Tensor, "*positions d_in"]) -> Float[Tensor, "*positions cells"]:
        """m: what multiplies the values, float32."""
        x = states.float()
        products = (x if self.centre is None else x - self.centre) @ self.keys.T + self.key_bias
        if self.facts.activation == "topk":
            best = products.topk(min(self.facts.k or 1, products.shape[-1]), dim=-1)
            return torch.zeros_like(products).scatter_(-1, best.indices, best.values.relu())
        active = products.relu()
        return active if self.threshold is None else active * (products > self.threshold)

    def reconstruct(
        self, coefficients: Float[Tensor, "*positions cells"], states: Float[Tensor, "*positions d_in"]
    ) -> Float[Tensor, "*positions d_out"]:
        """What the cells add up to, with the bias and the skip matrix."""
        total = coefficients @ self.values + self.value_bias
        return total if self.skip is None else total + states.float() @ self.skip.T

    def watch(self, on_coefficients: OnCoefficients) -> Stop:
        """Report the coefficients from now on, until what is returned is called."""
        return self.around.watch(self.facts.reads, lambda states: on_coefficients(self.coefficients(states)))

    def watch_both(self, on_read: OnStates, on_written: OnStates) -> Stop:
        """Report what is read and what is to be reconstructed from now on, until what is returned is called."""
        return all_of([self.around.watch(self.facts.reads, on_read), self.around.watch(self.facts.writes, on_written)])

    def check(self, name: str, d_model: int) -> None:
        """Refuse a dictionary that does not fit a model.

        Raises:
            InputError: its sizes are not the stream's, or the model has no such states as it reads or writes.
        """
        cells = self.cells.name
        for what, size in (("reads", self.keys.shape[1]), ("writes", self.values.shape[1])):
            if size != d_model:
                raise InputError(
                    f"the dictionary {cells} {what} states of {size} numbers, and the stream of {name} has {d_model}",
                    "Expected a dictionary of this model",
                    "Check the model, and the path of --dictionary",
                )
        for place in (self.facts.reads, self.facts.writes):
            problem = self.around.problem(place)
            if problem is not None:
                raise InputError(
                    f"the dictionary {cells} needs the states {place!r}, which {name} does not have: {problem}",
                    "Expected a place that this model has",
                    f"Write where its states are: {self.cells.own_name}={self.facts.name}@PLACE:...",
                )
