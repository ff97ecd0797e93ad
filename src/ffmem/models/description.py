"""What is known of where a model's memories lie, as plain data: for people, for a manifest, for a report."""

from itertools import groupby

from ffmem.errors import ModelError
from ffmem.json_values import JsonObject
from ffmem.models.base import AttentionLayout, Layout
from ffmem.models.model_facts import is_gated
from ffmem.models.structure.labels import Labels
from ffmem.models.transformer import Transformer


def describe(model: Transformer, *, attention: bool = True) -> JsonObject:
    """Where everything lies, and the errors of the identities that prove it.

    Args:
        model: loaded.
        attention: look at attention as well, which takes two more passes where it goes by structure.
    """
    layouts = [(model.facts.layers[place].name, model.layout(place)) for place in range(model.facts.n_layers)]
    kinds = [
        {"layers": _names([name for name, _ in alike]), **told}
        for told, alike in (
            (told, list(alike)) for told, alike in groupby(layouts, lambda pair: _layer(pair[1], model))
        )
    ]
    found: JsonObject = {
        "model": model.facts.name,
        "architecture": model.facts.architecture,
        "read_by": "its structure" if model.family.by_structure else f"the rules of {model.family.name}",
        "cells": model.cells.describe(),
        "activation": model.facts.activation,
        "kinds": kinds,
        "head": _head(model),
        "longest_input": model.facts.max_length,
        "errors": dict(model.identity_errors),
    }
    if model.structure is not None:
        found["errors_of_the_search"] = dict(model.structure.errors)
        if model.structure.head.told:
            found["no_scores"] = model.structure.head.told
        if (labels := _labels(model.structure.labels)) is not None:
            found["labels"] = labels
    if attention:
        found["attention"] = _attention(model)
    return found


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _layer(layout: Layout, model: Transformer) -> JsonObject:
    stack = f"{layout.backbone}.{layout.layers}".strip(".")
    told: JsonObject = {"list": stack, "memories": _memories(layout), "stream": _stream(layout)}
    if layout.before:
        told["after"] = f"layers without memories, from {layout.before} on"
    return told


def _memories(layout: Layout) -> str:
    if not layout.experts:
        if layout.in_attention:
            return (
                f"softmax({layout.key} . keys of {layout.value}, beside those of the context) -> {layout.in_attention}"
            )
        if layout.key:
            return f"a({layout.key}) -> {layout.value}"
        halves = (
            ""
            if layout.halves is None
            else f", gate keys {_slice(layout.halves[0])}, up keys {_slice(layout.halves[1])}"
        )
        return f"a({layout.gate_key}) x {layout.up_key} -> {layout.value}{halves}"
    held = layout.stacked
    gate = "a(gate) x up" if is_gated(layout) else "a"
    where = "gate first" if held.halves is None else f"gate {_slice(held.halves[0])}, up {_slice(held.halves[1])}"
    weighed = "inputs" if held.weighted_inputs else "outputs"
    told = f"experts {layout.experts}: {held.first} ({where}), {gate} -> {held.second}; routing weights on {weighed}"
    told += f", times {held.scale:g}" if held.scale != 1.0 else ""
    for one in layout.shared:
        gated = f", times sigmoid({one.gate})" if one.gate else ""
        told += f"; for all positions {one.gate_key} -> {one.value}{gated}"
        told += f", times {one.scale:g}" if one.scale != 1.0 else ""
    return told


def _slice(outputs: tuple[int | None, int | None, int | None]) -> str:
    begin, end, step = outputs
    return f"{begin or 0}:{'' if end is None else end}" + (f":{step}" if step not in (None, 1) else "")


def _stream(layout: Layout) -> str:
    r = "r" if layout.residual_scale == 1.0 else f"{layout.residual_scale:g} r"
    y = f"{layout.post_ff_norm}(y)" if layout.post_ff_norm else "y"
    y = y if layout.update_scale == 1.0 else f"{layout.update_scale:g} {y}"
    beside = layout.beside and (
        layout.beside if layout.beside_scale == 1.0 else f"{layout.beside_scale:g} {layout.beside}"
    )
    summed = " + ".join(one for one in (r, beside, y) if one)
    if layout.placement == "post":
        return f"o = {layout.ff_norm}({summed}), y of r"
    read = (
        f"{layout.ff_norm}({'h' if layout.parallel else 'r'})" if layout.ff_norm else ("h" if layout.parallel else "r")
    )
    if layout.placement == "shared":
        return f"r = {layout.ff_norm}(h), o = {summed}, y of r"
    return f"o = {summed}, y of {read}"


def _head(model: Transformer) -> str:
    layout = model.layout(-1)
    if not model.has_head:
        rows = (
            "values are read with the embedding"
            if model.facts.projections
            else "no vocabulary that values are read with"
        )
        return f"none for each token of a vocabulary: {rows}"
    if layout.log_probabilities:
        return "an adaptive softmax"
    if layout.head_transform:
        way = getattr(layout.head_transform, "steps", None)
        names = " -> ".join(
            one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__) for one in way or ()
        )
        told = f"{names or 'a head that is not linear'} -> unembedding"
    else:
        told = " -> ".join(one for one in (layout.final_norm, layout.project_out, "unembedding") if one)
    told += f" x {layout.output_scale:g}" if layout.output_scale != 1.0 else ""
    told += f" + {layout.output_bias}" if layout.output_bias else ""
    return told + (f", soft cap {layout.softcap:g}" if layout.softcap else "")


def _labels(found: Labels) -> JsonObject | None:
    """How a classifier scores its labels; None if it is none."""
    if found.head is None:
        return {"refused": found.told} if found.told else None
    way = " -> ".join(one for one in (found.head.norm, found.head.matrix) if one)
    return {"names": list(found.head.names), "head": way}


def _attention(model: Transformer) -> str:
    try:
        layers = model.attention_layers
    except ModelError as refused:
        return f"refused: {refused.got}"
    kinds = {(one.part.module, one.part.value, one.part.output, one.part.fused): one for one in layers}
    return "; ".join(_sub_layer(one.part) for one in kinds.values())


def _sub_layer(part: AttentionLayout) -> str:
    fused = "" if part.fused is None else f" (the last {part.fused[1]} slots of {part.fused[0]} groups)"
    fused += "" if part.value_scale == 1.0 else f" times {part.value_scale:g}"
    output = part.output if part.scale == 1.0 else f"{part.scale:g} {part.output}"
    output += "" if part.stream_scale == 1.0 else f", the stream times {part.stream_scale:g}"
    return f"{part.module}: values {part.value}{fused}, output {output}{', some weight to a sink' if part.sink else ''}"
