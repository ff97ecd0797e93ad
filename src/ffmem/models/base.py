"""Any Transformer seen as layers of keys and values: what a family states as data, and one view for all of them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.errors import InputError, ModelError
from ffmem.options import Bos

Projection = Literal["raw", "final-norm", "folded"]
"""How a vector becomes scores over the vocabulary, with U the unembedding, n the final norm, b the output bias:
"raw" U h (Geva et al. 2021); "final-norm" U n(h) + b (the model's own logits of a final state; "logit lens");
"folded" U' h, where U' holds the norm's gain and centring: linear, so contributions add up, up to n's positive scale."""

NormPlacement = Literal["pre", "post", "sandwich", "shared"]
"""Where the norm of a feed-forward layer stands: o = r + FF(n(r)); o = n(r + FF(r)); o = r + n2(FF(n1(r))); and, where
the stream goes on from the normed state, r = n(h), o = r + FF(r)."""


@dataclass(frozen=True)
class Layout:
    """Where things lie in a family's modules: dotted paths from the model (backbone, layers, ...) or from a layer."""

    backbone: str
    """The model without its head; "" if the head is missing altogether."""
    layers: str
    """List of layers, from the backbone."""
    value: str
    """Second feed-forward matrix, from a layer: its input is the coefficients, its weight holds the values."""
    key: str = ""
    """First feed-forward matrix of ungated cells."""
    gate_key: str = ""
    """First feed-forward matrix of gated cells whose output goes through the activation."""
    up_key: str = ""
    """The other one."""
    ff_norm: str = ""
    """The norm before the feed-forward layer ("pre", "sandwich", "shared") or after its residual sum ("post")."""
    post_ff_norm: str = ""
    """The norm that the output passes before it is added ("sandwich")."""
    attention: str = ""
    """The attention sub-layer; needed where it runs in parallel."""
    final_norm: str = ""
    """The norm before the unembedding, from the backbone; "" if there is none."""
    project_out: str = ""
    """A matrix between final norm and unembedding, from the backbone; "" if there is none."""
    placement: NormPlacement = "pre"
    parallel: bool = False
    """Attention and feed-forward layer read the same state; then r = h + attention, so that o = r + y still holds."""
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_offset: float = 0.0
    """What is added to a norm's weight to give its gain."""
    softcap: float | None = None
    """Final logits are softcap * tanh(logits / softcap)."""
    head_transform: Callable[[Any, Tensor], Tensor] | None = None
    """A non-linear head before the unembedding, of the model and a state: a masked language model's."""
    head_bias: str = ""
    """Output bias, from the model, where the unembedding module does not hold it."""


def max_positions(config: Any) -> int:
    """The longest input in tokens, under the name that all configs with a limit answer to."""
    limit: int = config.max_position_embeddings
    return limit


@dataclass(frozen=True)
class Family:
    """What an architecture family states about itself."""

    name: str
    architectures: Mapping[str, str]
    """Names that stand under "architectures" in a Hugging Face config -> the transformers class that loads them."""
    layout: Callable[[Any], Layout]
    """From the model's config to its layout; most families ignore the config."""
    activation: str
    """Name of the config's field that names the activation; of the activation itself, where no config chooses."""
    causal: bool = True
    """False where a position sees what is on its right: then a trigger is a position in a sentence, not a prefix."""
    max_length: Callable[[Any], int | None] = max_positions
    """From the model's config to its longest input in tokens; None if positions have no limit."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a loaded model, as plain data."""

    name: str
    family: str
    architecture: str
    n_layers: int
    d_model: int
    d_ff: int
    d_vocab: int
    activation: str
    gated: bool
    key_bias: bool
    value_bias: bool
    norm: str
    norm_placement: NormPlacement
    parallel: bool
    causal: bool
    max_length: int | None
    """Longest input in tokens; None if positions have no limit."""
    projections: tuple[Projection, ...]
    """Those that this model has."""
    dtype: str


@dataclass(frozen=True)
class LayerTrace:
    """The states around one feed-forward layer, in the words of Geva et al. 2021, section 5."""

    residual: Float[Tensor, "batch positions d_model"]
    """r: the stream that the feed-forward output is added to."""
    ff_input: Float[Tensor, "batch positions d_model"]
    """x: what the keys are compared with."""
    coefficients: Float[Tensor, "batch positions d_ff"]
    """m."""
    ff_output: Float[Tensor, "batch positions d_model"]
    """y = sum of m_i v_i + b."""
    ff_update: Float[Tensor, "batch positions d_model"]
    """What is added to r: y, or its norm in "sandwich" layers."""
    layer_output: Float[Tensor, "batch positions d_model"]
    """o."""


OnLayer = Callable[[int, Float[Tensor, "batch positions d_ff"]], None]


class Transformer:
    """A loaded model seen as layers of keys and values. Made by `load_model`.

    Args:
        name: what people call it.
        family: its family.
        module: the Hugging Face model, in eval mode.
        tokenizer: its fast tokenizer.
    """

    def __init__(self, name: str, family: Family, module: Any, tokenizer: Any) -> None:
        self.family, self.module, self.tokenizer = family, module, tokenizer
        self.layout = family.layout(module.config)
        self._backbone = _at(module, self.layout.backbone)
        self._layers = list(_at(self._backbone, self.layout.layers))
        self.facts = self._facts(name)
        self._check_shapes()

    def _facts(self, name: str) -> ModelFacts:
        config, layout = self.module.config, self.layout
        value = _at(self._layers[0], layout.value)
        first = _at(self._layers[0], layout.key or layout.gate_key)
        d_model, d_ff = _rows(value).shape[1], _rows(value).shape[0]
        return ModelFacts(
            name=name,
            family=self.family.name,
            architecture=type(self.module).__name__,
            n_layers=len(self._layers),
            d_model=d_model,
            d_ff=d_ff,
            d_vocab=self._unembedding.shape[0],
            activation=str(getattr(config, self.family.activation, self.family.activation)),
            gated=bool(layout.gate_key),
            key_bias=first.bias is not None,
            value_bias=value.bias is not None,
            norm=layout.norm,
            norm_placement=layout.placement,
            parallel=layout.parallel,
            causal=self.family.causal,
            max_length=self.family.max_length(config),
            projections=self._projections(),
            dtype=str(value.weight.dtype).removeprefix("torch."),
        )

    def _check_shapes(self) -> None:
        """Keys and values of every layer are (d_ff, d_model); an adapter that is wrong is found here, not in results."""
        expected = (self.facts.d_ff, self.facts.d_model)
        for layer, module in enumerate(self._layers):
            layout = self.layout
            for what in filter(None, (layout.key, layout.gate_key, layout.up_key, layout.value)):
                weight = _at(module, what).weight
                rows = _rows(_at(module, what)) if what == layout.value else _columns(_at(module, what))
                if rows.shape != expected:
                    raise ModelError(
                        f"{what} of layer {layer} of {self.facts.name} has the shape {tuple(weight.shape)}",
                        f"Expected one that gives {expected[0]} keys or values of {expected[1]} numbers",
                        "This model departs from its family: see docs/how-to/add-a-family.md",
                    )

    # Weights

    def keys(self, layer: int) -> Float[Tensor, "d_ff d_model"]:
        """The keys of a layer of ungated cells, a row each.

        Raises:
            ModelError: gated cells have a pair of keys.
        """
        if self.facts.gated:
            raise ModelError(
                f"the cells of {self.facts.name} are gated: each has two input vectors",
                "Expected gate_keys(layer) and up_keys(layer) to be asked for",
                "Call those two",
            )
        return _columns(self.at(layer, self.layout.key))

    def gate_keys(self, layer: int) -> Float[Tensor, "d_ff d_model"]:
        """The vectors of gated cells whose product with x goes through the activation."""
        self._check_gated()
        return _columns(self.at(layer, self.layout.gate_key))

    def up_keys(self, layer: int) -> Float[Tensor, "d_ff d_model"]:
        """The vectors of gated cells whose product with x multiplies the activation."""
        self._check_gated()
        return _columns(self.at(layer, self.layout.up_key))

    def _check_gated(self) -> None:
        if not self.facts.gated:
            raise ModelError(
                f"the cells of {self.facts.name} are not gated",
                "Expected keys(layer) to be asked for",
                "Call that",
            )

    def key_bias(self, layer: int) -> Float[Tensor, "d_ff"] | None:
        """The bias inside the activation (of gated cells: beside gate_keys), or None if there is none."""
        bias: Tensor | None = self.at(layer, self.layout.key or self.layout.gate_key).bias
        return bias

    def up_bias(self, layer: int) -> Float[Tensor, "d_ff"] | None:
        """The bias beside up_keys, or None if there is none."""
        self._check_gated()
        bias: Tensor | None = self.at(layer, self.layout.up_key).bias
        return bias

    def values(self, layer: int) -> Float[Tensor, "d_ff d_model"]:
        """The values of a layer, a row each."""
        return _rows(self.at(layer, self.layout.value))

    def value_bias(self, layer: int) -> Float[Tensor, "d_model"]:
        """The b of y = sum of m_i v_i + b; zeros if the family has none."""
        value = self.at(layer, self.layout.value)
        bias: Tensor = value.weight.new_zeros(self.facts.d_model) if value.bias is None else value.bias
        return bias

    def at(self, layer: int, path: str) -> Any:
        """The module at a path of the layout, in a layer."""
        return _at(self._layers[layer], path)

    # Forward passes

    def forward(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None = None,
    ) -> Float[Tensor, "batch positions d_model"]:
        """The final hidden state, as the backbone gives it (after its final norm, if it has one). No unembedding.

        Causal models need no attention mask for inputs padded on the right: padding cannot reach what stands before it.
        """
        arguments = {"use_cache": False} if self.facts.causal else {}
        state: Tensor = self._backbone(input_ids=token_ids, attention_mask=attention_mask, **arguments)[0]
        return state

    def logits(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None = None,
    ) -> Float[Tensor, "batch positions d_vocab"] | None:
        """The model's own logits; None if it has no head."""
        if not self.has_head:
            return None
        arguments = {"use_cache": False} if self.facts.causal else {}
        found: Tensor = self.module(input_ids=token_ids, attention_mask=attention_mask, **arguments).logits
        return found

    @property
    def has_head(self) -> bool:
        """Whether the model gives logits of its own."""
        return self._backbone is not self.module

    @contextmanager
    def watch_coefficients(self, on_layer: OnLayer) -> Iterator[None]:
        """Call ``on_layer(layer, coefficients)`` in each forward pass of the model, layer by layer.

        The tensor is the model's own: it must not be written to, and is only valid during the call.
        """
        shape: list[int] = []

        def note_shape(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            shape[:] = (named["input_ids"] if "input_ids" in named else arguments[0]).shape

        def watch(layer: int) -> Callable[[Any, tuple[Tensor, ...]], None]:
            # some models flatten batch and positions before the feed-forward layer
            return lambda _, inputs: on_layer(layer, inputs[0].view(*shape, inputs[0].shape[-1]))

        handles = [self._backbone.register_forward_pre_hook(note_shape, with_kwargs=True)]
        try:
            for layer in range(self.facts.n_layers):
                handles.append(self.at(layer, self.layout.value).register_forward_pre_hook(watch(layer)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    # Projection to the vocabulary

    @cached_property
    def _unembedding(self) -> Float[Tensor, "d_vocab d_embedding"]:
        head = self.module.get_output_embeddings()
        embedding: Tensor = (self.module.get_input_embeddings() if head is None else head).weight
        return embedding

    @cached_property
    def _output_bias(self) -> Float[Tensor, "d_vocab"] | None:
        head = self.module.get_output_embeddings()
        return None if head is None else getattr(head, "bias", None)

    @property
    def final_norm(self) -> nn.Module | None:
        """The norm before the unembedding, or None."""
        norm: nn.Module | None = _at(self._backbone, self.layout.final_norm) if self.layout.final_norm else None
        return norm

    def _projections(self) -> tuple[Projection, ...]:
        if self.layout.head_transform:
            return ("raw", "final-norm")
        return ("raw", "final-norm", "folded") if self.final_norm is not None else ("raw",)

    def check_projection(self, projection: str) -> None:
        """Refuse a projection that this model does not have."""
        if projection not in self.facts.projections:
            raise InputError(
                f"{self.facts.name} has no projection {projection!r}",
                f"Expected one of: {', '.join(self.facts.projections)}",
                f"Write --projection {self.facts.projections[0]}",
            )

    def project(
        self, state: Float[Tensor, "*batch d_model"], projection: Projection
    ) -> Float[Tensor, "*batch d_vocab"]:
        """Scores over the vocabulary of states or contributions.

        "final-norm" of the last layer's output is the model's own logits, also where its head is more than a norm (then
        it is not linear: BERT's transform, Gemma's soft cap).
        """
        self.check_projection(projection)
        if projection != "final-norm":
            return state.float() @ self.projection_matrix(projection).T
        if self.layout.head_transform:
            hidden = self.layout.head_transform(self.module, state)
        else:
            assert self.final_norm is not None
            hidden = self.final_norm(state)
        if self.layout.project_out:
            hidden = _at(self._backbone, self.layout.project_out)(hidden)
        scores: Tensor = nn.functional.linear(hidden, self._unembedding, self._output_bias)
        cap = self.layout.softcap
        return scores if cap is None else torch.tanh(scores / cap) * cap

    def projection_matrix(self, projection: Projection) -> Float[Tensor, "d_vocab d_model"]:
        """The matrix of a linear projection, float32: "raw" is the unembedding, "folded" holds gain and centring too.

        Raises:
            InputError: not available, or not linear.
        """
        self.check_projection(projection)
        if projection == "final-norm":
            raise InputError(
                "the projection 'final-norm' is not linear, so it has no matrix",
                "Expected raw or folded for values",
                "Write --projection folded, or raw",
            )
        matrix = self._unembedding.float()
        if self.layout.project_out:
            matrix = matrix @ _at(self._backbone, self.layout.project_out).weight.float()
        if projection == "folded":
            matrix = matrix * self._gain(self.final_norm)
            if self.layout.norm == "layernorm":
                matrix = matrix - matrix.mean(1, keepdim=True)
        return matrix.contiguous()

    def value_rows(self, layer: int, projection: Projection) -> Float[Tensor, "d_ff d_model"]:
        """The values of a layer as they reach the residual stream, float32: scores are rows @ projection_matrix.T.

        In "sandwich" layers a value passes a norm first: its gain is applied here, its scale 1/rms(y), which depends on
        the input and is positive, is not.
        """
        self.check_projection(projection)
        rows = self.values(layer).float()
        if self.layout.post_ff_norm:
            rows = rows * self._gain(self.at(layer, self.layout.post_ff_norm))
        return rows.contiguous()

    def _gain(self, norm: Any) -> Float[Tensor, "d_model"]:
        if getattr(norm, "weight", None) is None:  # a LayerNorm without elementwise gain
            return self._unembedding.new_ones(self.facts.d_model, dtype=torch.float32)
        gain: Tensor = norm.weight.float() + self.layout.norm_offset
        return gain

    # Tokens and identity

    def special_tokens(self, bos: Bos) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids put before and after each sentence.

        Args:
            bos: "auto": what the tokenizer adds by itself; "yes": its BOS before; "no": nothing.

        Raises:
            InputError: "yes", and the tokenizer has no BOS.
        """
        if bos == "no":
            return (), ()
        if bos == "auto":
            return _added_by_itself(self.tokenizer)
        if self.tokenizer.bos_token_id is None:
            raise InputError(
                f"--bos is 'yes', but the tokenizer of {self.facts.name} has no BOS token",
                "Expected auto or no for this model",
                "Write --bos auto",
            )
        return (self.tokenizer.bos_token_id,), ()

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; any does, since nothing that counts sees it."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad < self.facts.d_vocab else 0

    def weights_hash(self) -> str:
        """SHA-256 over names, shapes, types and bytes of all parameters, by name."""
        digest = hashlib.sha256()
        for name, parameter in sorted(self.module.named_parameters()):
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
            data = parameter.detach().cpu().contiguous()
            digest.update(data.view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def config_hash(self) -> str:
        """SHA-256 of the config, less what says where it came from: the same weights can be run in other ways."""
        config = self.module.config.to_dict()
        kept = {name: value for name, value in config.items() if not name.startswith("_") and "version" not in name}
        return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()

    def tokenizer_hash(self) -> str:
        """SHA-256 of the tokenizer's definition."""
        return hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def _added_by_itself(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a tokenizer puts around a text of its own accord."""
    own = tokenizer("a", add_special_tokens=False).input_ids
    whole = tokenizer("a").input_ids
    for start in range(len(whole) - len(own) + 1):
        if whole[start : start + len(own)] == own:
            return tuple(whole[:start]), tuple(whole[start + len(own) :])
    return (), ()


def _at(module: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        module = getattr(module, name)
    return module


def _is_transposed(module: Any) -> bool:
    """GPT-2's Conv1D stores its weight as (inputs, outputs), nn.Linear as (outputs, inputs)."""
    return type(module).__name__ == "Conv1D"


def _columns(module: Any) -> Tensor:
    """A row for each output of a linear map: the vectors its input is compared with."""
    weight: Tensor = module.weight
    return weight.T if _is_transposed(module) else weight


def _rows(module: Any) -> Tensor:
    """A row for each input of a linear map: the vectors that the input's entries multiply."""
    weight: Tensor = module.weight
    return weight if _is_transposed(module) else weight.T
