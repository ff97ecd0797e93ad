"""Any Transformer seen as layers of keys and values: one view for all families."""

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
from ffmem.models.dictionaries.dictionary import Dictionary
from ffmem.models.embedded_rows import EmbeddedRows
from ffmem.models.feed_forward import at
from ffmem.models.fingerprints import config_hash, tokenizer_hash, weights_hash
from ffmem.models.frame import Frame, frame_of
from ffmem.models.half import in_float32
from ffmem.models.layers import FeedForward, read_layer
from ffmem.models.model_facts import check_shapes, facts_of
from ffmem.models.passes import Passes
from ffmem.models.present import device_of, forget, is_plain, present
from ffmem.models.run_state import RunState
from ffmem.models.streaming.weights import StreamedWeights, stream_of
from ffmem.models.structure.attention import find_attention
from ffmem.models.structure.find import Structure, arguments_for
from ffmem.models.structure.text import text_to_search
from ffmem.models.unembedding import Scores, Unembedding
from ffmem.models.vocabulary import token_bytes
from ffmem.options import Bos
from ffmem.store.facts import Projection


def _with_layouts(layers: Iterable[nn.Module], layout: Layout) -> list[tuple[nn.Module, Layout | None]]:
    """Each layer of a stack, with how it is read; layers may be runs of fewer modules."""
    if not layout.by_layer:
        return [(layer, layout) for layer in layers]
    layers = list(layers)
    times = len(layout.by_layer) // len(layers)
    return list(zip([layer for layer in layers for _ in range(times)], layout.by_layer, strict=True))


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
        self.keeps_positions: bool | None = None
        """Whether it gives the same where positions are kept and not run again; None: nobody has looked yet."""
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
        self._passes = Passes(module, family, self._backbones, self._layouts)
        self._hooks = CoefficientHooks(self._layers, self._backbones, [int(stack == "dec") for stack in stacks])
        self.unembedding = Unembedding(name, module, self._backbones[-1], self._layouts[-1])
        self.cells = self.all_cells = CellSpace(layer.cells for layer, _ in self._layers)
        self.facts = facts_of(self, name)
        self.batching = Batching(family.causal)
        self._put_back: list[Callable[[], None]] = []
        check_shapes(self)

    @property
    def dictionaries(self) -> tuple[Dictionary, ...]:
        """Those that stand beside its layers: their cells are in `all_cells`, behind its own, and nowhere else."""
        return self._hooks.dictionaries

    def attach(self, dictionaries: tuple[Dictionary, ...]) -> None:
        """Have these dictionaries, and no others."""
        self._hooks.dictionaries = dictionaries
        self.all_cells = CellSpace((*self.cells.layers, *(one.cells for one in dictionaries)))

    # Weights

    def keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The keys of a layer of ungated cells, or of a dictionary by its place in `all_cells`, a row each.

        Raises:
            ModelError: gated cells have a pair of keys.
        """
        if layer >= len(self._layers):
            return self.dictionaries[layer - len(self._layers)].keys
        if self.facts.gated:
            raise ModelError(
                f"the cells of {self.facts.name} are gated: each has two input vectors",
                "Expected a call of gate_keys(layer) or up_keys(layer)",
                "Call those two",
            )
        with self._present(layer):
            return self._layers[layer][0].keys()

    def gate_keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x goes through the activation."""
        with self._present(layer):
            return self._gated(layer).gate_keys()

    def up_keys(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x multiplies the activation."""
        with self._present(layer):
            return self._gated(layer).up_keys()

    def up_bias(self, layer: int) -> Float[Tensor, "cells"] | None:
        """The bias beside up_keys, or None if there is none."""
        with self._present(layer):
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
        with self._present(layer):
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
        """The values of a layer, or of a dictionary by its place in `all_cells`, a row each."""
        if layer >= len(self._layers):
            return self.dictionaries[layer - len(self._layers)].values
        with self._present(layer):
            return self._layers[layer][0].values()

    def value_bias(self, layer: int) -> Float[Tensor, "d_model"]:
        """The b of y = sum of m_i v_i + b; zeros if the family has none."""
        with self._present(layer):
            bias = self._layers[layer][0].value_bias()
            return self._layers[layer][0].values().new_zeros(self.facts.d_model) if bias is None else bias

    def _present(self, layer: int) -> AbstractContextManager[None]:
        """While its weights are read: see present.py."""
        return present(self._layers[layer][0].module)

    def layer(self, layer: int) -> FeedForward:
        """A feed-forward layer itself."""
        return self._layers[layer][0]

    def stack_of(self, layer: int) -> int:
        """The number of the stack that a layer is in."""
        return self._layers[layer][1]

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
        return self._passes.state(token_ids, attention_mask, target_ids, causal=self.facts.causal)

    def logits(
        self,
        token_ids: Int[Tensor, "batch positions"],
        attention_mask: Int[Tensor, "batch positions"] | None = None,
        target_ids: Int[Tensor, "batch targets"] | None = None,
    ) -> Float[Tensor, "batch positions d_vocab"] | Float[Tensor, "batch targets d_vocab"] | None:
        """The model's own logits of what `forward` reads; None if it has no head."""
        if not self.has_head:
            return None
        return self._passes.logits(token_ids, attention_mask, target_ids, causal=self.facts.causal)

    def logits_keeping(
        self, token_ids: Int[Tensor, "batch positions"], kept: Any = None
    ) -> tuple[Float[Tensor, "batch positions d_vocab"], Any]:
        """Of a causal model: its own logits of tokens that follow those that it has kept, and what it keeps of all.

        Args:
            token_ids: the tokens that are new.
            kept: what this gave for those before; None: there are none.

        Returns:
            logits, and what to give next time; None: it keeps nothing. Who relies on it holds it to `logits` first.
        """
        return self._passes.logits_keeping(token_ids, kept)

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
            step_by_step(
                self.module, self.attention_layers, asked=any(one.part.asked for one in self.attention_layers)
            ),
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
        return "raw" if self.all_cells.layers[layer].stack == "enc" else projection

    def value_rows(self, layer: int) -> Float[Tensor, "cells d_model"]:
        """The values of a layer as they reach the residual stream, float32: what `scores` scores.

        In "sandwich" layers a value passes a norm first: its gain is applied here, its scale 1/rms(y), which depends on
        the input and is positive, is not. So with a dictionary that writes y; others write what reaches the stream.
        They are where the unembedding is.
        """
        rows = self.values(layer).float()
        if layer >= len(self._layers):
            dictionary = self.dictionaries[layer - len(self._layers)]
            if dictionary.facts.writes != "mlp-output":
                return rows.contiguous().to(self.unembedding.device)
            layer = self.cells.parse_layer(dictionary.cells.own_name)
        layout = self.layout(layer)
        if layout.post_ff_norm:
            rows = rows * self.unembedding.gain(self.layer(layer).at(layout.post_ff_norm)).to(rows.device)
        if layout.update_scale != 1.0:
            rows = rows * layout.update_scale
        return rows.contiguous().to(self.unembedding.device)

    @property
    def stream(self) -> StreamedWeights | None:
        """How its weights are brought, if it is not held whole."""
        return stream_of(self.module)

    # Tokens and identity

    @cached_property
    def vocabulary(self) -> list[bytes]:
        """The bytes that each token stands for, by id, for every score of the model; computed once."""
        return token_bytes(self.tokenizer, self.facts.d_vocab)

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
            self.embedded_rows().check(largest)

    def embedded_rows(self) -> EmbeddedRows:
        """Which tokens have a row in the embedding, for those who do not have the model."""
        n_rows = self.n_embedded or len(self.tokenizer)
        beyond = {number: token for token, number in self.tokenizer.get_vocab().items() if number >= n_rows}
        return EmbeddedRows(self.facts.name, n_rows, len(self.tokenizer), beyond)

    @property
    def device(self) -> torch.device:
        """Where its inputs are to be."""
        device: torch.device = next(self.module.parameters()).device
        return device if device.type != "meta" else device_of(self.module)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where its layers compute, each device once, in their order."""
        return tuple(dict.fromkeys(self.device_of(layer) for layer in range(len(self._layers))))

    def device_of(self, layer: int) -> torch.device:
        """Where a layer computes."""
        return device_of(self._layers[layer][0].module)

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; any does, since nothing that counts sees it."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad < self.facts.d_vocab else 0

    def weights_hash(self) -> str:
        """SHA-256 over names, shapes, types and bytes of all parameters, by name; computed once, and again after a patch."""
        return self._weights_hash

    @cached_property
    def _weights_hash(self) -> str:
        return weights_hash(self.module)

    def forget_weights_hash(self) -> None:
        """After a change of its weights: the hash is computed anew when it is asked for."""
        self.__dict__.pop("_weights_hash", None)

    def release(self) -> None:
        """Give back the memory of the weights, for good; facts, hashes and tokens stay. Packed weights stay too."""
        self.weights_hash()
        if self.stream is not None:
            self.stream.give_back()
        elif all(is_plain(parameter) for parameter in self.module.parameters()):
            forget(self.module)
            nn.Module.to(self.module, "meta")
            torch.cuda.empty_cache()

    def config_hash(self) -> str:
        """SHA-256 of the config, less what says where it came from: the same weights can be run in other ways."""
        return config_hash(self.module.config)

    def tokenizer_hash(self) -> str:
        """SHA-256 of the tokenizer's definition."""
        return tokenizer_hash(self.tokenizer)
