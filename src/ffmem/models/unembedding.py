"""From vectors to scores over the vocabulary: the projections of a loaded model."""

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.base import Layout, Projection
from ffmem.models.feed_forward import at


class Unembedding:
    """The way of a model's final states to the vocabulary.

    Args:
        name: of the model, for messages.
        module: the Hugging Face model.
        backbone: what gives the final states.
        layout: of the last stack.
    """

    def __init__(self, name: str, module: Any, backbone: Any, layout: Layout) -> None:
        self._name, self._module, self._backbone, self._layout = name, module, backbone, layout

    @property
    def d_vocab(self) -> int:
        """Tokens of the vocabulary that have a score."""
        return self._weight.shape[0]

    @cached_property
    def _weight(self) -> Float[Tensor, "d_vocab d_embedding"]:
        head = self._module.get_output_embeddings()
        embedding: Tensor = (self._module.get_input_embeddings() if head is None else head).weight
        return embedding

    @cached_property
    def _bias(self) -> Float[Tensor, "d_vocab"] | None:
        head = self._module.get_output_embeddings()
        return None if head is None else getattr(head, "bias", None)

    @property
    def final_norm(self) -> nn.Module | None:
        """The norm before the unembedding, or None."""
        norm: nn.Module | None = at(self._backbone, self._layout.final_norm) if self._layout.final_norm else None
        return norm

    @property
    def projections(self) -> tuple[Projection, ...]:
        """Those that this model has."""
        if self._layout.head_transform:
            return ("raw", "final-norm")
        return ("raw", "final-norm", "folded") if self.final_norm is not None else ("raw",)

    def check(self, projection: str) -> None:
        """Refuse a projection that this model does not have."""
        if projection not in self.projections:
            raise InputError(
                f"{self._name} has no projection {projection!r}",
                f"Expected one of: {', '.join(self.projections)}",
                f"Write --projection {self.projections[0]}",
            )

    def project(
        self, state: Float[Tensor, "*batch d_model"], projection: Projection
    ) -> Float[Tensor, "*batch d_vocab"]:
        """Scores over the vocabulary of states or contributions.

        "final-norm" of the last layer's output is the model's own logits, also where its head is more than a norm (then
        it is not linear: BERT's transform, Gemma's soft cap).
        """
        self.check(projection)
        if projection != "final-norm":
            return state.float() @ self.matrix(projection).T
        if self._layout.head_transform:
            hidden = self._layout.head_transform(self._module, state)
        else:
            assert self.final_norm is not None
            hidden = self.final_norm(state)
        if self._layout.project_out:
            hidden = at(self._backbone, self._layout.project_out)(hidden)
        scores: Tensor = nn.functional.linear(hidden * self._layout.output_scale, self._weight, self._bias)
        cap = self._layout.softcap
        return scores if cap is None else torch.tanh(scores / cap) * cap

    def matrix(self, projection: Projection) -> Float[Tensor, "d_vocab d_model"]:
        """The matrix of a linear projection, float32: "raw" is the unembedding, "folded" holds gain and centring too.

        Raises:
            InputError: not available, or not linear.
        """
        self.check(projection)
        if projection == "final-norm":
            raise InputError(
                "the projection 'final-norm' is not linear, so it has no matrix",
                "Expected raw or folded for values",
                "Write --projection folded, or raw",
            )
        matrix = self._weight.float()
        if self._layout.output_scale != 1.0:
            matrix = matrix * self._layout.output_scale
        if self._layout.project_out:
            matrix = matrix @ at(self._backbone, self._layout.project_out).weight.float()
        if projection == "folded":
            matrix = matrix * self.gain(self.final_norm)
            if self._layout.norm == "layernorm":
                matrix = matrix - matrix.mean(1, keepdim=True)
        return matrix.contiguous()

    def gain(self, norm: Any) -> Float[Tensor, "d_model"]:
        """What a norm multiplies each dimension with, float32; ones if it does not."""
        if getattr(norm, "weight", None) is None:  # a LayerNorm without elementwise gain
            return torch.ones(1, device=self._weight.device)
        gain: Tensor = norm.weight.float() + self._layout.norm_offset
        return gain
