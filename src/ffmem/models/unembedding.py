"""From vectors to scores over the vocabulary: the projections of a loaded model."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.base import Layout
from ffmem.models.feed_forward import at, rows
from ffmem.models.frozen_norm import FrozenNorm, freeze
from ffmem.models.present import device_of, present
from ffmem.store.facts import Projection

Quantity = Literal["logit", "logit before the soft cap", "log-probability"]
"""What a linear score, with its constant and normalisers, adds up to."""

Scores = Callable[[Float[Tensor, "rows d_model"], Float[Tensor, "rows d_vocab"]], None]
"""Writes the scores of some rows over the vocabulary into a tensor that already exists."""


@dataclass(frozen=True)
class LinearScores:
    """Those of a projection matrix."""

    matrix: Float[Tensor, "d_vocab d_model"]

    def __call__(self, rows: Float[Tensor, "rows d_model"], out: Float[Tensor, "rows d_vocab"]) -> None:
        """Write them."""
        torch.mm(rows, self.matrix.T, out=out)


@dataclass(frozen=True)
class LinearScore:
    """How the score of one token comes from one final state: direction . state x scale + constant + normalisers.

    Once the state is known, the norm before the unembedding is a linear map, so whatever adds up to the state adds up to the
    score, part by part; but for the normalisers, which no part has a share of.
    """

    direction: Float[Tensor, "d_model"]
    """Float64, with the norm's gain and centring in it."""
    scale: float
    """1 / the length that the norm divides by, at this state; 1 without a norm."""
    constant: float
    """What no state has a part in: the norm's bias seen through the unembedding, and the output bias."""
    normalisers: float = 0.0
    """Under an adaptive softmax: minus the logarithms of the sums that the exponentials of the score of the word, and of its
    band's class, are divided by. They depend on the whole state, and are no sum of its parts; 0 for other heads."""

    def whole(self, state: Float[Tensor, "d_model"]) -> float:
        """The score of the state that this was made for."""
        return float(self.of(state)) + self.constant + self.normalisers

    def less(self, other: "LinearScore") -> "LinearScore":
        """The difference of two scores of one state."""
        return LinearScore(
            self.direction - other.direction,
            self.scale,
            self.constant - other.constant,
            self.normalisers - other.normalisers,
        )

    def of(self, vectors: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
        """What vectors add to the score, float64."""
        found: Tensor = vectors.double() @ self.direction * self.scale
        return found


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
        if self._layout.log_probabilities:
            return int(self._module.config.vocab_size)
        return self._holder.weight.shape[0]  # type: ignore[no-any-return]

    @property
    def rows(self) -> Float[Tensor, "d_vocab d_embedding"] | None:
        """The unembedding itself, or the embedding where there is none, a row a token; None for an adaptive softmax."""
        return None if self._layout.log_probabilities else self._weight

    @property
    def device(self) -> torch.device:
        """Where scores over the vocabulary are computed."""
        return device_of(self._module if self._layout.log_probabilities else self._holder)

    @property
    def _weight(self) -> Float[Tensor, "d_vocab d_embedding"]:
        with present(self._holder):
            embedding: Tensor = self._holder.weight
        return embedding

    @cached_property
    def _holder(self) -> Any:
        """The module of the unembedding, or of the embedding where there is none."""
        head = self._head
        return self._module.get_input_embeddings() if head is None else head

    @property
    def _head(self) -> Any:
        """The module of the unembedding, where the model has one."""
        return (
            at(self._module, self._layout.unembedding)
            if self._layout.unembedding
            else self._module.get_output_embeddings()
        )

    @property
    def _bias(self) -> Float[Tensor, "d_vocab"] | None:
        if self._layout.output_bias:
            path, _, name = self._layout.output_bias.rpartition(".")
            with present(at(self._module, path), alone=True):
                bias: Tensor = getattr(at(self._module, path), name).flatten()
            return bias
        head = self._head
        with present(head):
            return None if head is None else getattr(head, "bias", None)

    @property
    def final_norm(self) -> nn.Module | None:
        """The norm before the unembedding, or None."""
        norm: nn.Module | None = at(self._backbone, self._layout.final_norm) if self._layout.final_norm else None
        return norm

    @property
    def projections(self) -> tuple[Projection, ...]:
        """Those that this model has."""
        if self._layout.log_probabilities:
            return ("adaptive",) if self.final_norm is None else ("adaptive", "final-norm")
        if self._layout.headless:
            return ("raw",) if self._layout.has_vocabulary else ()
        if self._layout.head_transform or (self._layout.output_bias and self.final_norm is None):
            return ("raw", "final-norm")
        return ("raw", "final-norm", "folded") if self.final_norm is not None else ("raw",)

    @property
    def own_projection(self) -> Projection:
        """The one that makes scores of a final state the model's own.

        Without a final norm these are the raw scores, or the log-probabilities of an adaptive softmax.
        """
        return "final-norm" if "final-norm" in self.projections else self.projections[0]

    def check(self, projection: str) -> None:
        """Refuse a projection that this model does not have."""
        if projection not in self.projections:
            raise InputError(
                f"{self._name} has no projection {projection!r}",
                f"Expected one of: {', '.join(self.projections)}"
                if self.projections
                else "Expected a model with a vocabulary as wide as its stream: values of this one have no scores over tokens",
                f"Write --projection {self.projections[0]}" if self.projections else "Use another model",
            )

    def project(
        self, state: Float[Tensor, "*batch d_model"], projection: Projection
    ) -> Float[Tensor, "*batch d_vocab"]:
        """Scores over the vocabulary of states or contributions.

        "final-norm" of the last layer's output is the model's own logits, also where its head is more than a norm (then
        it is not linear: BERT's transform, Gemma's soft cap); "adaptive" is its own log-probabilities without a norm.
        """
        self.check(projection)
        if projection not in ("final-norm", "adaptive"):
            matrix = self.matrix(projection)
            return state.float().to(matrix.device) @ matrix.T
        if projection == "final-norm" and self._layout.head_transform:
            return self.of_normed(self._layout.head_transform(self._module, state))
        norm = self.final_norm if projection == "final-norm" else None
        return self.of_normed(state if norm is None else norm(state))

    def of_normed(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """The model's own scores of what comes out of its final norm: the rest of its head."""
        if self._layout.log_probabilities:
            found: Tensor = self._layout.log_probabilities(self._module, hidden.to(self._module.dtype))
            return found
        if self._layout.project_out:
            hidden = at(self._backbone, self._layout.project_out)(hidden)
        weight = self._weight
        hidden = hidden.to(weight.device) * self._layout.output_scale
        scores: Tensor = nn.functional.linear(hidden, weight, self._bias)
        cap = self._layout.softcap
        return scores if cap is None else torch.tanh(scores / cap) * cap

    def matrix(self, projection: Projection) -> Float[Tensor, "d_vocab d_model"]:
        """The matrix of a linear projection, float32: "raw" is the unembedding, "folded" holds gain and centring too.

        Raises:
            InputError: not available, or not linear.
        """
        self.check(projection)
        if projection in ("final-norm", "adaptive"):
            raise InputError(
                f"the projection {projection!r} is not linear, so it has no matrix",
                "Expected raw or folded",
                "Write --projection folded, or raw; for scores of values by any projection, use `scores`",
            )
        matrix = self._weight.float()
        if self._layout.embedding_map:
            before = at(self._module, self._layout.embedding_map)
            with present(before):
                matrix = matrix @ rows(before).float().to(matrix.device)
        if self._layout.output_scale != 1.0:
            matrix = matrix * self._layout.output_scale
        if self._layout.project_out:
            matrix = matrix @ self._project_out.float().to(matrix.device)
        if projection == "folded":
            matrix = matrix * self.gain(self.final_norm).to(matrix.device)
            if self._layout.norm == "layernorm":
                matrix = matrix - matrix.mean(1, keepdim=True)
        return matrix.contiguous()

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of a classifier that values have scores of."""
        return () if self._layout.labels is None else self._layout.labels.names

    @cached_property
    def label_matrix(self) -> Float[Tensor, "labels d_model"]:
        """What a value is multiplied with to score the labels of a classifier, float32.

        With the gain and centring of the norm before its head, if there is one, as "folded" has them of the unembedding.

        Raises:
            InputError: there are no labels, or their scores are not linear.
        """
        head = self._layout.labels
        if head is None:
            raise InputError(
                f"values of {self._name} have no scores over labels",
                "Expected a classifier whose head is one matrix, with no more than a norm before it",
                "Use its scores over tokens, or another model",
            )
        with present(at(self._module, head.matrix)):
            matrix: Tensor = at(self._module, head.matrix).weight.float()
        if head.norm:
            matrix = matrix * self.gain(at(self._module, head.norm)).to(matrix.device)
            if self._layout.norm == "layernorm":
                matrix = matrix - matrix.mean(1, keepdim=True)
        return matrix.contiguous()

    def directions(self) -> Float[Tensor, "d_vocab d_model"]:
        """What a state after the final norm is multiplied with to score each token, float32.

        The unembedding; under an adaptive softmax the slopes of log-probabilities at a state of zeros. So the normalisers,
        which differ between bands, are there to first order: without them words of two bands cannot be compared.
        """
        if self._layout.slopes is None:
            return self.matrix("raw")
        found: Tensor = self._layout.slopes(self._module)
        return found.float()

    def constants(self, bias: Float[Tensor, "d_model"] | None) -> Float[Tensor, "d_vocab"] | None:
        """What is added to each token's score whatever the state: the bias of the norm before the head, and the head's own."""
        found = None if bias is None else self.directions() @ bias.float()
        if self._layout.log_probabilities or self._bias is None:
            return found
        own: Tensor = self._bias.float()
        return own if found is None else found + own

    def scores(self, projection: Projection) -> Scores:
        """How a projection scores values, float32.

        Raises:
            InputError: not available, or "final-norm", under which a value has no score of its own.
        """
        if projection != "adaptive":
            return LinearScores(self.matrix(projection))
        self.check(projection)

        def write(rows: Float[Tensor, "rows d_model"], out: Float[Tensor, "rows d_vocab"]) -> None:
            out.copy_(self.project(rows, projection))

        return write

    def linear_score(self, state: Float[Tensor, "d_model"], token: int) -> LinearScore:
        """How a token's score comes from a final state.

        The score is its logit before any soft cap; under an adaptive softmax its log-probability, which is the sum of the
        scores of its class and of the word itself, less their normalisers: see `quantity`.

        Raises:
            InputError: the head is not linear (a masked language model's).
        """
        if self._layout.head_transform:
            raise InputError(
                f"the head of {self._name} is not linear, so its scores are not sums",
                "Expected a model whose final states are normed and then multiplied by the unembedding",
                "Use another model",
            )
        direction, constant = self._direction(token)
        norm = self.final_norm
        if norm is None:
            return LinearScore(direction, 1.0, constant, self._normalisers(state.double(), token))
        frozen = self.freeze(norm, state)
        normed = frozen(state.double())
        if frozen.bias is not None:
            constant += float(direction @ frozen.bias)
            normed = normed + frozen.bias
        direction = direction * frozen.gain
        direction = direction - direction.mean() if frozen.centres else direction
        return LinearScore(direction, float(frozen.scale), constant, self._normalisers(normed, token))

    @property
    def quantity(self) -> Quantity:
        """What `linear_score` gives."""
        if self._layout.log_probabilities:
            return "log-probability"
        return "logit" if self._layout.softcap is None else "logit before the soft cap"

    @property
    def is_linear(self) -> bool:
        """Whether scores are products with `directions`, but for `constants` and a soft cap."""
        return not self._layout.log_probabilities and not self._layout.head_transform

    @property
    def softcap(self) -> float | None:
        """Logits are softcap * tanh(score / softcap); None if they are the scores."""
        return self._layout.softcap

    def capped(self, score: float) -> float:
        """The model's own logit, or log-probability, from a whole `linear_score`."""
        cap = self._layout.softcap
        return score if cap is None else math.tanh(score / cap) * cap

    def _normalisers(self, normed: Float[Tensor, "d_model"], token: int) -> float:
        if self._layout.normalisers is None:
            return 0.0
        return -float(self._layout.normalisers(self._module, normed, token))

    def _direction(self, token: int) -> tuple[Float[Tensor, "d_model"], float]:
        """What the normed state is multiplied with to score a token, and what is added."""
        if self._layout.direction:
            direction: Tensor = self._layout.direction(self._module, token)
            return direction.double(), 0.0
        direction = self._weight[token].double() * self._layout.output_scale
        if self._layout.project_out:
            direction = direction @ self._project_out.double().to(direction.device)
        return direction, 0.0 if self._bias is None else float(self._bias[token])

    @property
    def _project_out(self) -> Float[Tensor, "d_embedding d_model"]:
        """What narrows states to the width of the unembedding."""
        module = at(self._backbone, self._layout.project_out)
        with present(module):
            weight: Tensor = module.weight
        return weight

    def freeze(self, norm: Any, states: Float[Tensor, "*states d_model"]) -> FrozenNorm:
        """The linear map that a norm of this model is at some states."""
        return freeze(norm, states, self.gain(norm), self._layout.norm == "layernorm")

    def gain(self, norm: Any) -> Float[Tensor, "d_model"]:
        """What a norm multiplies each dimension with, float32; ones if it does not."""
        if getattr(norm, "weight", None) is None:  # a LayerNorm without elementwise gain
            return torch.ones(1, device=self.device)
        with present(norm):
            gain: Tensor = norm.weight.float() + self._layout.norm_offset
        return gain
