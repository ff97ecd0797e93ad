"""A model's own plain call on what its tokenizer's own call gives, with coefficients caught by plain hooks.

It is what everything else is compared with, so it shares nothing with it: no watch, no batch, no mask of ours.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from ffmem.errors import FfmemError, ModelError
from ffmem.models.base import CallArguments, SharedCells, Stacked
from ffmem.models.mixture import MixtureLayer
from ffmem.models.present import present
from ffmem.models.transformer import Transformer
from ffmem.options import Bos


@dataclass(frozen=True)
class PlainInput:
    """A text as its tokenizer gives it to a model."""

    text: str
    prefix: tuple[int, ...]
    own: tuple[int, ...]
    """The text's own tokens."""
    suffix: tuple[int, ...]
    named: dict[str, list[int]] = field(default_factory=dict)
    """What else the tokenizer's own call gives that the model takes."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """With the special tokens."""
        return (*self.prefix, *self.own, *self.suffix)

    @cached_property
    def own_slice(self) -> slice:
        """Positions of the text's own tokens."""
        return slice(len(self.prefix), len(self.prefix) + len(self.own))

    def cut(self, n: int) -> "PlainInput":
        """Its first tokens, with nothing behind them."""
        return replace(self, own=self.own[:n], suffix=(), named={})

    def replaced(self, own: Sequence[int]) -> "PlainInput":
        """With other own tokens."""
        return replace(self, own=tuple(own), named={})


def plain_input(
    model: Transformer, text: str, bos: Bos, stored: Sequence[int] | None = None, is_piece: bool = False
) -> PlainInput | None:
    """A text as the tokenizer's own call gives it; None if it has no token of its own.

    Args:
        model: the model.
        text: the text.
        bos: "auto": with the tokenizer's own special tokens; otherwise as `Transformer.special_tokens` has it.
        stored: own tokens that an index has of the text.
        is_piece: the text was cut from a longer one, and is read as ``stored`` says.

    Raises:
        ModelError: the special tokens around it, or its tokens, are not what we make of them.
    """
    prefix, suffix = model.special_tokens(bos)
    if is_piece and stored is not None:
        return PlainInput(text, prefix, tuple(stored), suffix) if len(stored) else None
    own = tuple(model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)
    if stored is not None and own != tuple(stored):
        raise _other_tokens(model, text, stored, own, "the tokens that are stored")
    if not own:
        return None
    if bos != "auto":
        return PlainInput(text, prefix, own, suffix)
    given = model.tokenizer(text)
    if tuple(given["input_ids"]) != (*prefix, *own, *suffix):
        raise _other_tokens(model, text, (*prefix, *own, *suffix), given["input_ids"], "special tokens and own ones")
    taken = inspect.signature(model.module.forward).parameters
    # token types of zeros are none: GPT-2 would take them for words
    named = {
        name: list(value)
        for name, value in given.items()
        if name not in ("input_ids", "attention_mask") and name in taken and any(value)
    }
    return PlainInput(text, prefix, own, suffix, named)


def _other_tokens(model: Transformer, text: str, ours: Sequence[int], own: Sequence[int], what: str) -> ModelError:
    return ModelError(
        f"the tokenizer of {model.facts.name} gives {text[:60]!r} other ids than {what}: {list(own)[:12]}, "
        f"not {list(ours)[:12]}",
        "Expected its own call to give a text's tokens, with constant special tokens around them",
        "Write --bos no to read texts without special tokens, or save the model's own tokenizer into its folder",
    )


def plain_coefficients(model: Transformer, given: PlainInput) -> list[Tensor]:
    """The coefficients of each layer, (positions, cells) float32, by the model's own call; special tokens included.

    Of a decoder the positions of the tokens, not that of its start token.

    Raises:
        ModelError: a feed-forward layer runs more or less often than once in a pass.
    """
    with catching_coefficients(model) as call:
        return call(given)


@contextmanager
def catching_coefficients(
    model: Transformer, columns: Sequence[Tensor] | None = None
) -> Iterator[Callable[[PlainInput], list[Tensor]]]:
    """Inside, what is given calls the model as `plain_coefficients` does, in one thread or in several that take turns.

    Args:
        model: the model.
        columns: of each layer, which cells are caught; None: all.
    """
    now = _Caught()

    def catch(layer: int, found: Tensor) -> None:
        now.layers[layer].append(found if columns is None else found[:, columns[layer].to(found.device)])

    handles: list[Any] = []
    try:
        for layer in range(model.facts.n_layers):
            handles += _hooks(model, layer, partial(catch, layer))
        yield partial(_call, model, now)
    finally:
        for handle in handles:
            handle.remove()


class _Caught(threading.local):
    """What the pass of a thread has given so far: of each layer, a piece for each of its runs."""

    layers: list[list[Tensor]]


def _call(model: Transformer, now: _Caught, given: PlainInput) -> list[Tensor]:
    now.layers = [[] for _ in range(model.facts.n_layers)]
    device = model.device
    ids = torch.tensor([given.token_ids], device=device)
    named: CallArguments = {name: torch.tensor([value], device=device) for name, value in given.named.items()}
    if model.module.config.is_encoder_decoder:
        start = model.module.config.decoder_start_token_id
        named["decoder_input_ids"] = torch.tensor([[start, *given.token_ids]], device=device)
    try:
        with torch.no_grad():
            model.module(input_ids=ids, attention_mask=torch.ones_like(ids), **named)
    except FfmemError:
        raise
    except Exception as error:  # whatever the library meets in an odd config: it raises a dozen types of its own
        raise _cannot_run(model, error) from error
    n = len(given.token_ids)
    found = []
    for layer, pieces in enumerate(now.layers):
        first = 1 if model.layout(layer).stack == "dec" else 0
        own = _own_run(model, layer, pieces, n + first)
        if own is None:
            raise ModelError(
                f"the feed-forward layer {model.cells.layers[layer].name} of {model.facts.name} runs {len(pieces)} times in a "
                f"pass, over {sum(map(len, pieces))} positions, not once over {n + first}",
                "Expected each layer to see each position once",
                'Write "chunk_size_feed_forward": 0 into its config.json if it has that field; otherwise it cannot be read',
            )
        found.append(own[first:])
    now.layers = []
    return found


def _own_run(model: Transformer, layer: int, pieces: Sequence[Tensor], n: int) -> Tensor | None:
    """A layer's coefficients at so many positions, of what was caught; None if it did not run once, over these."""
    mine, of = model.layout(layer).runs
    if len(pieces) != of:
        return None
    if model.family.by_structure:  # some fill up to a whole number of windows
        return pieces[mine][:n] if len(pieces[mine]) >= n else None
    return pieces[mine] if len(pieces[mine]) == n else None


def _cannot_run(model: Transformer, error: Exception) -> ModelError:
    told = (str(error).strip().splitlines() or [""])[0][:200]
    return ModelError(
        f"{model.facts.name} cannot be run as it is configured: its own call on what its tokenizer gives ends with "
        f"{type(error).__name__}: {told}",
        "Expected model(**tokenizer(text)) to run",
        "In its config.json, set everything but the sizes of the model back to the defaults of its family",
    )


def _hooks(model: Transformer, place: int, catch: Callable[[Tensor], None]) -> list[Any]:
    layer, layout = model.layer(place), model.layout(place)
    if not isinstance(layer, MixtureLayer):
        return [
            layer.coefficient_module.register_forward_pre_hook(
                lambda _, inputs: catch(inputs[0].detach().float().flatten(0, -2).clone())
            )
        ]
    parts: dict[int, Tensor] = {}
    n_parts = 1 + len(layout.shared)

    def put(number: int, coefficients: Tensor) -> None:
        parts[number] = coefficients.detach().float()
        if len(parts) == n_parts:
            catch(torch.cat([parts.pop(part) for part in range(n_parts)], dim=1))

    def routed(experts: Any, inputs: tuple[Any, ...], named: CallArguments) -> None:
        with present(experts, alone=True):
            put(0, _of_experts(experts, layout.stacked, *inputs, **named))

    handles = [layer.experts.register_forward_pre_hook(routed, with_kwargs=True)]
    for number, one in enumerate(layout.shared, 1):
        handles += _shared_hooks(layer, one, partial(put, number))
    return handles


def _shared_hooks(layer: MixtureLayer, shared: SharedCells, put: Callable[[Tensor], None]) -> list[Any]:
    given: list[Tensor] = []

    def told(_: Any, inputs: tuple[Any, ...]) -> None:
        weight = torch.full((1, 1), shared.scale, device=inputs[0].device)
        if shared.gate:
            gate, states = layer.at(shared.gate), given.pop()
            with present(gate):
                weight = torch.sigmoid(states @ gate.weight.T + (0 if gate.bias is None else gate.bias)) * shared.scale
        put(inputs[0].flatten(0, -2) * weight)

    keys = layer.at(shared.gate_key)
    return [
        keys.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].flatten(0, -2))),
        layer.at(shared.value).register_forward_pre_hook(told),
    ]


def _of_experts(
    experts: Any, held: Stacked, hidden: Tensor, chosen: Tensor | None = None, weights: Tensor | None = None, **_: Any
) -> Tensor:
    """Position by position, route by route: routing weight x activation; 0 for experts that are not chosen."""
    first, second = getattr(experts, held.first), getattr(experts, held.second)
    n_experts, d_ff = second.shape[0], second.shape[1 if held.transposed else 2]
    hidden = hidden.flatten(0, -2)

    def activations(expert: int, state: Tensor) -> Tensor:
        products = state @ first[expert] if held.transposed else first[expert] @ state
        if held.first_bias:
            products = products + getattr(experts, held.first_bias)[expert]
        if held.activate is not None:
            return held.activate(experts, products) * held.scale  # type: ignore[no-any-return]
        gate, up = products.chunk(2)
        return experts.act_fn(gate) * up * held.scale  # type: ignore[no-any-return]

    if chosen is None or weights is None:  # each expert is given all positions, multiplied with their weights
        states = hidden.view(n_experts, -1, hidden.shape[1])
        found = torch.stack([torch.stack([activations(e, s) for s in given]) for e, given in enumerate(states)], dim=1)
        return found.float().flatten(1)
    found = torch.zeros(len(hidden), n_experts, d_ff, device=hidden.device)
    for position in range(len(hidden)):
        for route, expert in enumerate(chosen[position].tolist()):
            if expert < n_experts:
                found[position, expert] = (activations(expert, hidden[position]) * weights[position, route]).float()
    return found.flatten(1)
