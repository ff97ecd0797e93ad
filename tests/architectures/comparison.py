"""ffmem held to the truths of the zoo, by what it gives its users: `load_model`, coefficients, values, projections."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ffmem import load_model
from ffmem.errors import FfmemError, ModelError
from ffmem.models.tracing import trace
from tests.architectures import Architecture
from tests.architectures.making import SENTENCES, inputs_of, made, save
from tests.architectures.truth import Captured, Place, capture, logits_of

TOLERANCE = 1e-4
"""Largest difference that counts as rounding, as a share of the largest number of its kind in the layer."""

Verdict = Literal["right", "WRONG", "refused", "CRASHED"]


@dataclass(frozen=True)
class Outcome:
    """What ffmem made of one architecture."""

    verdict: Verdict
    reason: str = ""
    """Of a refusal its first line, otherwise what differs."""
    model: str = ""
    """The class, where it was read right."""
    attention: bool = False
    """Whether its attention is read, too."""


def compare(architecture: Architecture, folder: Path) -> Outcome:
    """Save a model into an empty folder, let ffmem read it there, and hold it to the truth."""
    model = made(architecture)
    save(architecture, model, folder)
    # as its own class reads it: what a folder does not hold, such as a table of sines, is not drawn anew
    model = type(model).from_pretrained(folder).eval()
    places = architecture.truth(model)
    final = None if architecture.final is None else architecture.final(model)
    sentences = SENTENCES if architecture.text else ()
    inputs = [inputs_of(architecture, model, sentence) for sentence in sentences]
    passes = [capture(model, places, final, given) for given in inputs]
    try:
        ours = load_model(folder)
    except FfmemError as error:
        return Outcome("refused", str(error).strip().splitlines()[0].replace(str(folder), "FOLDER"))
    except Exception as error:  # noqa: BLE001 (a traceback is what a user would see, and what is counted here)
        return Outcome("CRASHED", f"{type(error).__name__}: {error}".splitlines()[0])
    try:
        with torch.no_grad():
            differences = list(_differences(ours, places, inputs, passes))
    except Exception as error:  # noqa: BLE001 (as above)
        return Outcome("WRONG", f"accepted, then {type(error).__name__}: {error}".splitlines()[0])
    if differences:
        return Outcome("WRONG", differences[0])
    return Outcome("right", model=type(model).__name__, attention=_has_attention(ours))


def _has_attention(ours: Any) -> bool:
    try:
        return bool(ours.attention_layers)
    except ModelError:
        return False


def _differences(ours: Any, places: list[Place], inputs: list[dict[str, Any]], passes: list[Any]) -> Any:
    """What differs, in words, one after the other."""
    layers = [number for number, cells in enumerate(ours.facts.layers) if cells.n_cells]
    if len(layers) != len(places):
        yield f"{len(layers)} layers with cells, not {len(places)}"
        return
    found = [_coefficients(ours, given) for given in inputs]
    for at, (layer, place) in enumerate(zip(layers, places, strict=True)):
        captured = [one[0][at] for one in passes]
        lengths = [given["input_ids"].shape[1] for given in inputs]
        theirs = torch.cat([_own(place, one.coefficients, n) for one, n in zip(captured, lengths, strict=True)])
        mine = torch.cat([one[layer] for one in found])
        extra = None
        if captured[0].optional is not None:
            weights = [_own(place, one.optional[0], n) for one, n in zip(captured, lengths, strict=True)]
            extra = torch.cat(weights), captured[0].optional[1]
        yield from _layer_differences(ours, layer, place, captured[0], mine, theirs, extra)
    yield from _stream_differences(ours, layers, places, inputs[0], passes[0][0])
    for given, (_, state, output) in zip(inputs, passes, strict=True):
        if state is not None:
            yield from _logit_differences(ours, given, state, output)
        elif ours.logits(given["input_ids"], given["attention_mask"]) is not None:
            yield "scores that are not of tokens are taken for such"


def _layer_differences(
    ours: Any,
    layer: int,
    place: Place,
    truth: Captured,
    mine: Tensor,
    theirs: Tensor,
    extra: tuple[Tensor, Tensor] | None,
) -> Any:
    name = ours.facts.layers[layer].name
    values, reaching = ours.values(layer).float(), ours.value_rows(layer)
    if mine.shape[0] != theirs.shape[0]:
        yield f"{name}: coefficients at {mine.shape[0]} positions, not {theirs.shape[0]}"
        return
    # a multiplier behind the sum may be read as a part of the values
    factors = {1.0, place.gain} if isinstance(place.gain, float) else {1.0}
    orders = {x: _match(mine, values, theirs, x * truth.values, extra, place.ordered) for x in sorted(factors)}
    fitting = [(factor, order) for factor, order in orders.items() if not isinstance(order, str)]
    if not fitting:
        yield f"{name}: {orders[1.0]}"
        return
    factor, order = fitting[0]
    if not _error(ours.value_bias(layer).float(), factor * truth.bias) < TOLERANCE:
        yield f"{name}: another bias"
    yield from _key_differences(ours, layer, truth, order)
    expected = truth.values * place.gain
    if place.linear and _error(reaching[order], expected) > TOLERANCE:
        yield f"{name}: values reach the stream otherwise: off by {_error(reaching[order], expected):.2g} of the largest"


def _stream_differences(
    ours: Any, layers: list[int], places: list[Place], given: dict[str, Any], captured: list[Captured]
) -> Any:
    """The states between the layers."""
    traced = trace(ours, given["input_ids"], given["attention_mask"])
    for layer, place, truth in zip(layers, places, captured, strict=True):
        theirs = _own(place, truth.stream, given["input_ids"].shape[1])
        mine = traced[layer].layer_output.flatten(0, -2)
        if not _error(mine, theirs) < TOLERANCE:
            yield f"{ours.facts.layers[layer].name}: another state behind the layer: off by {_error(mine, theirs):.2g}"


def _key_differences(ours: Any, layer: int, truth: Captured, order: Tensor) -> Any:
    """Keys and their biases; those that go through the activation may have what multiplies their product in them."""
    name = ours.facts.layers[layer].name
    if ours.facts.gated != (len(truth.keys) == 2):
        yield f"{name}: cells are {'not ' if ours.facts.gated else ''}gated"
        return
    biases = [ours.key_bias(layer), ours.up_bias(layer)] if ours.facts.gated else [ours.key_bias(layer)]
    rows = [ours.gate_keys(layer), ours.up_keys(layer)] if ours.facts.gated else [ours.keys(layer)]
    parts = ("gate", "up") if ours.facts.gated else ("",)
    scales = (truth.key_scale, 1.0)
    for part, mine, bias, theirs, their_bias, scale in zip(
        parts, rows, biases, truth.keys, truth.key_biases, scales, strict=False
    ):
        if not min(_error(mine[order].float(), factor * theirs) for factor in (1.0, scale)) < TOLERANCE:
            yield f"{name}: other {part} keys"
        known = torch.zeros(len(mine)) if bias is None else bias.float()
        if not min(_error(known[order], factor * their_bias) for factor in (1.0, scale)) < TOLERANCE:
            yield f"{name}: another {part} key bias"


def _match(
    mine: Tensor,
    values: Tensor,
    theirs: Tensor,
    their_values: Tensor,
    extra: tuple[Tensor, Tensor] | None,
    ordered: bool,
) -> Tensor | str:
    """For each cell of the truth, the number of ours that is the same in coefficients and value; or what is wrong."""
    n_cells, scale, length = theirs.shape[1], theirs.abs().max(), their_values.abs().max()
    if mine.shape[1] != n_cells and (extra is None or mine.shape[1] != n_cells + extra[0].shape[1]):
        return f"{mine.shape[1]} cells, not {n_cells}"
    if extra is not None and mine.shape[1] != n_cells:
        theirs, their_values = torch.cat((theirs, extra[0]), 1), torch.cat((their_values, extra[1]))
    if values.shape != their_values.shape:
        return f"values are {tuple(values.shape)}, not {tuple(their_values.shape)}"
    if ordered:
        for what, found, expected in (("coefficients", mine, theirs), ("values", values, their_values)):
            if not _error(found, expected) < TOLERANCE:
                return f"other {what}: off by {_error(found, expected):.2g} of the largest"
        return torch.arange(n_cells)
    rows = torch.cat((mine.T / scale, values / length), 1)
    their_rows = torch.cat((theirs.T / scale, their_values / length), 1)
    same = torch.cdist(their_rows, rows, p=torch.inf) < TOLERANCE
    if not bool((same.sum(0) == 1).all()) or not bool((same.sum(1) == 1).all()):
        return f"{int((same.sum(1) == 1).sum())} of {len(their_rows)} cells are found, {len(rows)} are there"
    return same.int().argmax(1)[:n_cells]


def _coefficients(ours: Any, given: dict[str, Any]) -> list[Tensor]:
    """Those of all layers at the positions of a sentence's tokens, (positions, cells)."""
    found: dict[int, Tensor] = {}
    with ours.watch_coefficients(lambda layer, m: found.update({layer: m.detach().float().clone()})):
        ours.forward(given["input_ids"], given["attention_mask"])
    return [found[layer].flatten(0, -2) for layer in range(len(ours.facts.layers))]


def _logit_differences(ours: Any, given: dict[str, Any], state: Tensor, output: Any) -> Any:
    """The projection of the state before the final norm, and ffmem's own logits, are the model's."""
    expected = logits_of(output)
    projected = ours.project(state, ours.unembedding.own_projection)
    if projected.shape != expected.shape:
        yield f"projections are {tuple(projected.shape)}, not {tuple(expected.shape)}"
    elif not _error(projected, expected) < TOLERANCE:
        yield f"other projection: off by {_error(projected, expected):.2g} of the largest"
    logits = ours.logits(given["input_ids"], given["attention_mask"])
    whole = expected[:, 1:] if "decoder_input_ids" in given else expected
    if logits is None or not _error(logits, whole) < TOLERANCE:
        yield "other logits"


def _own(place: Place, states: Tensor, length: int) -> Tensor:
    """At the positions of the tokens: without a decoder's start token, or what a model has filled up its input with."""
    return states[1 : length + 1] if place.decoder else states[:length]


def _error(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest number that is expected."""
    if found.shape != expected.shape:
        return float("inf")
    scale = float(expected.abs().max())
    return float((found - expected).abs().max()) / (scale or 1.0)
