"""Any Transformer seen as layers of keys and values: one view for all families."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ffmem.errors import InputError, ModelError
from ffmem.ids import CellSpace
from ffmem.json_values import JsonObject
from ffmem.models.attention import AttentionLayer, OnAttention, hooked, step_by_step
from ffmem.models.base import AttentionLayout, Batching, Family, Layout, Origin
from ffmem.models.coefficient_hooks import ChangeLayer, CoefficientHooks, OnExpert, OnGatedExpert, OnGatedLayer, OnLayer
from ffmem.models.feed_forward import at
from ffmem.models.fingerprints import config_hash, tokenizer_hash, weights_hash
from ffmem.models.frame import Frame, frame_of
from ffmem.models.half import in_float32
from ffmem.models.layers import FeedForward, read_layer
from ffmem.models.run_state import RunState
from ffmem.models.structure.attention import find_attention
from ffmem.models.structure.find import Structure, arguments_for
from ffmem.models.structure.text import text_to_search
from ffmem.models.unembedding import Scores, Unembedding
from ffmem.models.vocabulary import token_bytes
from ffmem.options import Bos
from ffmem.store.facts import ModelFacts, Projection


def _with_layouts(layers: Iterable[nn.Module], layout: Layout) -> list[tuple[nn.Module, Layout | None]]:
    """Each layer of a stack, with how it is read; layers may be runs of fewer modules."""
    if not layout.by_layer:
        return [(layer, layout) for layer in layers]
    layers = list(layers)
    times = len(layout.by_layer) // len(layers)
    return list(zip([layer for layer in layers for _ in range(times)], layout.by_layer, strict=True))


def is_gated(layout: Layout) -> bool:
    """Whether cells have gate keys and up keys."""
    return layout.stacked.gated if layout.experts and not layout.gate_key else bool(layout.gate_key)


class Transformer:
    """A loaded model seen as layers of keys and values. Made by `load_model`.

    A layer is named by its place among `ModelFacts.layers`, from 0; in an encoder-decoder, the decoder's layers follow
    the encoder's. There, the decoder reads the same tokens as the encoder, after its start token: the states at a
    position are those that have read the token there.

    Args:
        name: what people call it.
        family: its family.
        module: the Hugging Face model, in eval mode.
        tokenizer: its fast tokenizer.
    """

    def __init__(self, name: str, family: Family, module: Any, tokenizer: Any) -> None:
        self.family, self.module, self.tokenizer = family, module, tokenizer
        self.origin = Origin()
        """What its folder brought beside these weights; `load_model` fills it in."""
        self.structure: Structure | None = None
        """What was found in its modules, where no file of a family names its architecture."""
        self.identity_errors: JsonObject = {}
        """By identity, the largest error that was measured when it was loaded: see identity_proof.py."""
        self.n_embedded: int | None = None
        """Rows of the embedding, where the tokenizer has tokens beyond them; None: where each token has one."""
        self.forget_token_check: Callable[[], None] = lambda: None
        """Ends the look at each input for such tokens: for who has looked already, since it makes a GPU's host wait."""
        layouts = family.layout(module.config)
        self._layouts = layouts if isinstance(layouts, tuple) else (layouts,)
        self._backbones = [at(module, layout.backbone) for layout in self._layouts]
        self._layers: list[tuple[FeedForward, int]] = [  # with the number of their stack
            (read_layer(layer, own, number), stack)
            for stack, (layout, backbone) in enumerate(zip(self._layouts, self._backbones, strict=True))
            for number, (layer, own) in enumerate(_with_layouts(at(backbone, layout.layers), layout))
            if own is not None
        ]
        self._own_layouts = [
            own
            for layout, backbone in zip(self._layouts, self._backbones, strict=True)
            for _, own in _with_layouts(at(backbone, layout.layers), layout)
            if own is not None
        ]
        stacks = [layout.stack for layout in self._layouts]
        self._hooks = CoefficientHooks(self._layers, self._backbones, [int(stack == "dec") for stack in stacks])
        self.unembedding = Unembedding(name, module, self._backbones[-1], self._layouts[-1])
        self.cells = CellSpace(layer.cells for layer, _ in self._layers)
        self.facts = self._facts(name)
        self.batching = Batching(family.causal)
        self._put_back: list[Callable[[], None]] = []
        self._check_shapes()

    def _facts(self, name: str) -> ModelFacts:
        config, layout, first = self.module.config, self._own_layouts[-1], self._layers[0][0]
        return ModelFacts(
            name=name,
            family=self.family.name,
            architecture=type(self.module).__name__,
            n_layers=len(self._layers),
            layers=self.cells.layers,
            d_model=first.values().shape[1],
            d_ff=first.cells.d_ff,
            d_vocab=self.unembedding.d_vocab,
            activation=str(getattr(config, self.family.activation, self.family.activation)),
            gated=is_gated(layout),
            key_bias=first.key_bias() is not None,
            value_bias=first.value_bias() is not None,
            norm=layout.norm,
            norm_placement=layout.placement,
            parallel=layout.parallel,
            causal=self.family.causal,
            max_length=self.family.max_length(config),
            projections=self.unembedding.projections,
            dtype=str(first.values().dtype).removeprefix("torch."),
        )

    def _check_shapes(self) -> None:
        """Keys and values are (cells, d_model); an adapter that is wrong is found here, not in results."""
        for cells, (layer, _) in zip(self.cells.layers, self._layers, strict=True):
            expected = (cells.n_cells, self.facts.d_model)
            keys = (
                {"gate keys": layer.gate_keys(), "up keys": layer.up_keys()}
                if self.facts.gated
                else {"keys": layer.keys()}
            )
            for what, rows in {"values": layer.values(), **keys}.items():
                if rows.shape != expected:
                    raise ModelError(
                        f"the {what} of layer {cells.name} of {self.facts.name} have the shape {tuple(rows.shape)}",
                        f"Expected {expected[0]} of {expected[1]} numbers",
                        "This model departs from its family: see docs/how-to/add-a-family.md",
                    )

    # Weights

    def keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The keys of a layer of ungated cells, a row each.

        Raises:
            ModelError: gated cells have a pair of keys.
        """
        if self.facts.gated:
            raise ModelError(
                f"the cells of {self.facts.name} are gated: each has two input vectors",
                "Expected a call of gate_keys(layer) or up_keys(layer)",
                "Call those two",
            )
        return self._layers[layer][0].keys()

    def gate_keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x goes through the activation."""
        return self._gated(layer).gate_keys()

    def up_keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x multiplies the activation."""
        return self._gated(layer).up_keys()

    def up_bias(self, layer: int) -> Float[Tensor, "cells"] | None:
        """The bias beside up_keys, or None if there is none."""
        return self._gated(layer).up_bias()

    def _gated(self, layer: int) -> FeedForward:
        if not self.facts.gated:
            raise ModelError(
                f"the cells of {self.facts.name} are not gated",
                "Expected a call of keys(layer)",
                "Call that",
            )
        return self._layers[layer][0]

    def key_bias(self, layer: int) -> Float[Tensor, "cells"] | None:
        """The bias inside the activation (of gated cells: beside gate_keys), or None if there is none."""
        return self._layers[layer][0].key_bias()

    def activation_of(self, layer: int) -> Callable[[Tensor], Tensor] | None:
        """What the products with keys of a layer go through; None if it is not known."""
        layout = self.layout(layer)
        if layout.activation is not None or self.facts.activation not in ACT2FN:
            return layout.activation
        found: Callable[[Tensor], Tensor] = ACT2FN[self.facts.activation]
        return found

    @cached_property
    def activation(self) -> Callable[[Tensor], Tensor] | None:
        """What the products with keys (of gated cells: with gate keys) go through; None if it has no name that is known."""
        own = {layout.activation for layout in self._own_layouts}
        return self.activation_of(0) if len(own) == 1 else None

    def values(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The values of a layer, a row each."""
        return self._layers[layer][0].values()

    def value_bias(self, layer: int) -> Float[Tensor, "d_model"]:
        """The b of y = sum of m_i v_i + b; zeros if the family has none."""
        bias = self._layers[layer][0].value_bias()
        return self.values(layer).new_zeros(self.facts.d_model) if bias is None else bias

    def layer(self, layer: int) -> FeedForward:
        """A feed-forward layer itself."""
        return self._layers[layer][0]

    def module_before(self, layer: int) -> nn.Module:
        """Whose input is the stream before a layer, and before those without memories that precede it."""
        path, (found, stack) = self._own_layouts[layer].before, self._layers[layer]
        module: nn.Module = at(self._backbones[stack], path) if path else found.module
        return module

    def layout(self, layer: int) -> Layout:
        """The layout that a layer is read by."""
        return self._own_layouts[layer]

    @cached_property
    def attention_layers(self) -> tuple[AttentionLayer, ...]:
        """The attention sub-layers, layer by layer, a decoder's over its own text before that over the encoder's."""
        return tuple(
            AttentionLayer(
                layer.module, self.layout(place), part, place, self.facts.layers[place].name, self.module.config
            )
            for place, (layer, _) in enumerate(self._layers)
            for part in self._attention_of[place]
        )

    @cached_property
    def _attention_of(self) -> list[tuple[AttentionLayout, ...]]:
        """The attention sub-layers of each layer: as a family's file says, or as a pass shows.

        Raises:
            ModelError: they are not understood, though memories are.
        """
        if not self.family.by_structure:
            return [layout.attention for layout in self._own_layouts]
        layers = [(layer.module, layout) for (layer, _), layout in zip(self._layers, self._own_layouts, strict=True)]
        arguments, _ = arguments_for(self.module, text_to_search(self.module, self.tokenizer))
        with in_float32(self.module):
            return find_attention(
                self.facts.name, self.module, layers, arguments, partial(step_by_step, self.module, ())
            )

    # Forward passes

    def adopt(self, batching: Batching) -> None:
        """Run as a proof has found that this model must be run: see `proof.prove`."""
        self.batching = batching
        self.facts = replace(self.facts, causal=batching.causal)
        if batching.fresh and not self._put_back:
            state = RunState(self.module)
            self._put_back = [
                backbone.register_forward_pre_hook(lambda _, __: state.restore()).remove for backbone in self._backbones
            ]

    def forward(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None = None,
        target_ids: Int[Tensor, "batch targets"] | None = None,
    ) -> Float[Tensor, "batch positions d_model"] | Float[Tensor, "batch targets d_model"]:
        """The final hidden state, as the backbone gives it (after its final norm, if it has one). No unembedding.

        Args:
            token_ids: rows padded on the right; which inputs may share a pass, `batching` says.
            attention_mask: 0 where there is padding, on any device; None: there is none. A causal model is given it
                only for padding on the left, since padding on the right cannot reach what stands before it.
            target_ids: what an encoder-decoder's decoder reads, with its start token; None: the same tokens as the encoder,
                and the states at them come back.
        """
        mask = self._mask(token_ids, attention_mask)
        if self._layouts[0].final_state:
            return self._state_within(token_ids, mask)
        state: Tensor = self._backbones[0](input_ids=token_ids, attention_mask=mask, **self._no_cache(0))[0]
        if len(self._backbones) == 1:
            return state
        state = self._backbones[1](
            input_ids=self._decoder_ids(token_ids) if target_ids is None else target_ids,
            encoder_hidden_states=state,
            encoder_attention_mask=mask,
            use_cache=False,
        )[0]
        return state[:, 1:] if target_ids is None else state

    def _state_within(self, token_ids: Tensor, mask: Tensor | None) -> Tensor:
        """The final state of a model that has no part which is given ids and gives it."""
        seen: list[Tensor] = []
        module = at(self.module, self._layouts[0].final_state)
        handle = module.register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            self.module(input_ids=token_ids, attention_mask=mask, **self._no_cache(-1))
        finally:
            handle.remove()
        return seen[-1] if isinstance(seen[-1], Tensor) else seen[-1][0]

    def logits(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None = None,
        target_ids: Int[Tensor, "batch targets"] | None = None,
    ) -> Float[Tensor, "batch positions d_vocab"] | Float[Tensor, "batch targets d_vocab"] | None:
        """The model's own logits of what `forward` reads; None if it has no head."""
        if not self.has_head:
            return None
        decoder = {}
        if len(self._backbones) > 1:
            decoder["decoder_input_ids"] = self._decoder_ids(token_ids) if target_ids is None else target_ids
        mask = self._mask(token_ids, attention_mask)
        scores: Tensor = self.module(input_ids=token_ids, attention_mask=mask, **decoder, **self._no_cache(-1)).logits
        return scores[:, 1:] if decoder and target_ids is None else scores

    def _mask(self, token_ids: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """The mask that the model is given: if it is causal only for padding on the left, always one if it is not."""
        if self.facts.causal and (attention_mask is None or not bool((attention_mask.diff(dim=1) > 0).any())):
            return None
        if attention_mask is None:
            return torch.ones_like(token_ids)
        return attention_mask.to(token_ids.device, non_blocking=True)

    def _decoder_ids(self, token_ids: Int[Tensor, "batch positions"]) -> Int[Tensor, "batch positions_and_one"]:
        start = token_ids.new_full((len(token_ids), 1), self.module.config.decoder_start_token_id)
        return torch.cat((start, token_ids), dim=1)

    def _no_cache(self, stack: int) -> dict[str, bool]:
        """Encoders do not know the argument."""
        if not self.family.causal and self._layouts[stack].stack != "dec":
            return {}
        called = self.module.forward if stack < 0 else self._backbones[stack].forward
        taken = inspect.signature(called).parameters
        return {"use_cache": False} if "use_cache" in taken or not self.family.by_structure else {}

    @property
    def has_head(self) -> bool:
        """Whether the model gives logits of its own, a score for each token of a vocabulary."""
        layout = self._layouts[-1]
        return (self._backbones[0] is not self.module or bool(layout.final_state)) and not layout.headless

    def watch_coefficients(
        self, on_layer: OnLayer, on_expert: OnExpert | None = None, layers: Collection[int] | None = None
    ) -> AbstractContextManager[None]:
        """Call ``on_layer(layer, coefficients)`` in each forward pass: see `CoefficientHooks.watch`."""
        return self._hooks.watch(on_layer, on_expert, layers)

    def watch_gated_coefficients(
        self, on_layer: OnGatedLayer, on_expert: OnGatedExpert | None = None, layers: Collection[int] | None = None
    ) -> AbstractContextManager[None]:
        """As `watch_coefficients`, with the signs of the gates: see `CoefficientHooks.watch_gated`."""
        return self._hooks.watch_gated(on_layer, on_expert, layers)

    def change_coefficients(self, change: ChangeLayer) -> AbstractContextManager[None]:
        """Let ``change(layer, coefficients)`` decide the coefficients in each forward pass: see `CoefficientHooks.change`."""
        return self._hooks.change(change)

    @contextmanager
    def watch_attention(self, on_states: OnAttention, layers: Sequence[AttentionLayer] | None = None) -> Iterator[None]:
        """Call ``on_states(layer, states)`` for some attention sub-layers, or all, in each forward pass of the model.

        Meanwhile the model computes attention step by step, since faster ways never hold the weights; its logits may differ
        from its usual ones in the last bits.
        """
        chosen = self.attention_layers if layers is None else layers
        with (
            step_by_step(self.module, self.attention_layers),
            hooked(stop for layer in chosen for stop in layer.watch(on_states)),
        ):
            yield

    def own_positions(self, layer: int, states: Float[Tensor, "batch all d"]) -> Float[Tensor, "batch positions d"]:
        """States of a layer's stack at the positions of the tokens, without that of a decoder's start token."""
        return states[:, 1 if self.layout(layer).stack == "dec" else 0 :]

    # Projection to the vocabulary

    def project(
        self, state: Float[Tensor, "*batch d_model"], projection: Projection
    ) -> Float[Tensor, "*batch d_vocab"]:
        """Scores over the vocabulary of states or contributions: see `Unembedding.project`."""
        return self.unembedding.project(state, projection)

    def projection_matrix(self, projection: Projection) -> Float[Tensor, "d_vocab d_model"]:
        """The matrix of a linear projection: see `Unembedding.matrix`."""
        return self.unembedding.matrix(projection)

    def scores(self, projection: Projection) -> Scores:
        """How a projection scores values over the vocabulary: see `Unembedding.scores`."""
        return self.unembedding.scores(projection)

    def projection_of(self, layer: int, projection: Projection) -> Projection:
        """The projection of a layer's values: of an encoder's, "raw", since its states never reach the final norm."""
        return "raw" if self.layout(layer).stack == "enc" else projection

    def value_rows(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The values of a layer as they reach the residual stream, float32: what `scores` scores.

        In "sandwich" layers a value passes a norm first: its gain is applied here, its scale 1/rms(y), which depends on
        the input and is positive, is not.
        """
        rows, layout = self.values(layer).float(), self.layout(layer)
        if layout.post_ff_norm:
            rows = rows * self.unembedding.gain(self.layer(layer).at(layout.post_ff_norm))
        if layout.update_scale != 1.0:
            rows = rows * layout.update_scale
        return rows.contiguous()

    # Tokens and identity

    @cached_property
    def vocabulary(self) -> list[bytes]:
        """The bytes that each token stands for, by id; computed once."""
        return token_bytes(self.tokenizer)

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
            return self._frame
        if self.tokenizer.bos_token_id is None:
            raise InputError(
                f"--bos is 'yes', but the tokenizer of {self.facts.name} has no BOS token",
                "Expected auto or no for this model",
                "Write --bos auto",
            )
        return (self.tokenizer.bos_token_id,), ()

    @cached_property
    def _frame(self) -> Frame:
        return frame_of(self.tokenizer)

    def check_tokens(self, largest: int) -> None:
        """Refuse a text whose largest id has no row in the embedding.

        Raises:
            InputError: it has none; the message names the token and both sizes.
        """
        if self.n_embedded is not None and largest >= self.n_embedded:
            raise InputError(
                f"the token {self.tokenizer.convert_ids_to_tokens(largest)!r} of the text has the id "
                f"{largest:,}, and the embedding of "
                f"{self.facts.name} {self.n_embedded:,} rows (its tokenizer knows {len(self.tokenizer):,} tokens)",
                "Expected a row for each token of the text",
                "Leave that token out of the text, or resize the embedding to the tokenizer, train it, and "
                "save the model again",
            )

    @property
    def device(self) -> torch.device:
        """Where its inputs are to be."""
        device: torch.device = next(self.module.parameters()).device
        return device

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; any does, since nothing that counts sees it."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad < self.facts.d_vocab else 0

    def weights_hash(self) -> str:
        """SHA-256 over names, shapes, types and bytes of all parameters, by name; computed once, as weights never change."""
        return self._weights_hash

    @cached_property
    def _weights_hash(self) -> str:
        return weights_hash(self.module)

    def release(self) -> None:
        """Give back the memory of the weights, for good; facts, hashes and tokens stay. Packed weights stay too."""
        self.weights_hash()
        if all(type(parameter) is nn.Parameter for parameter in self.module.parameters()):
            nn.Module.to(self.module, "meta")
            torch.cuda.empty_cache()

    def config_hash(self) -> str:
        """SHA-256 of the config, less what says where it came from: the same weights can be run in other ways."""
        return config_hash(self.module.config)

    def tokenizer_hash(self) -> str:
        """SHA-256 of the tokenizer's definition."""
        return tokenizer_hash(self.tokenizer)
