"""What a manifest must hold for an index to be read: names, types and ranges; more may stand there. Knows no model."""

import math
from collections.abc import Callable
from typing import Any, get_args

from ffmem.dictionaries import StatesAt
from ffmem.ids import CellSpace, Runs, is_dictionary_name, parse_runs
from ffmem.json_values import JsonObject
from ffmem.store.facts import Activation, DictionaryFacts, NormPlacement, Projection

_LARGEST = 2**48
"""No size or count of an index comes near it; products of a few of them are still printed and compared at once."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_size(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_stack(value: Any) -> bool:
    return value in ("", "enc", "dec")


def _one_of(choices: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in get_args(choices)


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Of every value of a list, which may be empty."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def _or_null(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _runs(value: Any) -> Runs | None:
    try:
        return parse_runs(value) if _is_text(value) else None
    except ValueError:
        return None


def _each(schema: Any) -> Callable[[Any], bool]:
    """Of every value of a JSON object."""
    return lambda value: isinstance(value, dict) and all(_wrong(one, schema) is None for one in value.values())


def _options(value: Any) -> bool:
    """Single values, but for dictionaries and patches, which are lists."""
    return isinstance(value, dict) and all(
        _list_of(_is_text)(one)
        if name in ("dictionary", "patch")
        else one is None or isinstance(one, (str, int, float))
        for name, one in value.items()
    )


_EXCLUDED = ("shard_id", "first_sentence", "end_sentence", "n_tokens")


def _excluded(value: Any, n_sentences: int) -> bool:
    """Of shards that were left out, which need not be there."""
    if not isinstance(value, list) or any(_wrong(one, dict.fromkeys(_EXCLUDED, _is_count)) for one in value):
        return False
    return all(one["first_sentence"] < one["end_sentence"] <= n_sentences for one in value)


_COUNTS = (
    "n_documents", "n_documents_held_out", "n_documents_empty", "n_sentences", "n_sentences_held_out", "n_duplicates",
    "n_tokens", "n_tokens_held_out", "n_context_tokens", "n_undecodable_bytes", "n_long_sentences", "n_windows",
    "n_sentences_shared",
)  # fmt: skip
_LATER_COUNTS = ("n_lines", "n_empty_sentences", "n_held_out_also_indexed")
"""Which older indexes do not have."""

_SCHEMA: JsonObject = {
    "format": _is_count,
    "identity": {
        "ffmem": _is_text,
        "model": {
            "name": _is_text,
            "source": _is_text,
            "revision": _or_null(_is_text),
            "weights_sha256": _is_text,
        },
        "corpus": {"kind": _is_text, "name": _is_text},
        "options": {"top": _is_size, "promoted": _is_size},
    },
    "model": dict.fromkeys(("name", "family", "architecture", "activation", "norm", "dtype"), _is_text)
    | dict.fromkeys(("gated", "key_bias", "value_bias", "parallel", "causal"), _is_flag)
    | dict.fromkeys(("n_layers", "d_model", "d_ff", "d_vocab"), _is_size)
    | {
        "layers": [{"layer": _is_count, "d_ff": _is_size, "n_experts": _is_count, "stack": _is_stack}],
        "norm_placement": _one_of(NormPlacement),
        "max_length": _or_null(_is_size),
        "projections": [_one_of(Projection)],
    },
    "projection": _one_of(Projection),
    "layer_projections": [_one_of(Projection)],
    "special_tokens": {"prefix": _list_of(_is_count), "suffix": _list_of(_is_count)},
    "same_bytes": {"holds": _is_flag, "processor": _is_text, "why": _is_text},
    "counts": dict.fromkeys(_COUNTS, _is_count)
    | {"stopped_by": _or_null(_is_text), "n_sentences_by_corpus": [_is_count]},
    "certificate": {
        "errors": {"ff_sum_errors": [_is_number], "residual_errors": [_is_number]},
    },
    "files": _each({"bytes": _is_count, "sha256": _is_text}),
}
"""Objects hold at least these names, lists at least one value; functions judge single values."""

_DICTIONARY: JsonObject = {
    "layer": _is_count,
    "stack": _is_stack,
    "name": lambda value: _is_text(value) and is_dictionary_name(value),
    "d_ff": _is_size,
    "architecture": _is_text,
    "activation": _one_of(Activation),
    "k": _or_null(_is_size),
    "reads": _one_of(StatesAt),
    "writes": _one_of(StatesAt),
    "skip": _is_flag,
    "layout": _is_text,
    "sha256": _is_text,
}
"""Of a dictionary, where the index has some."""

_PROOF: JsonObject = {
    "batching": {"causal": _is_flag, "rows": _is_text, "fresh": _is_flag},
    "lengths": [_is_count],
    "errors": _each(_is_number),
    "notes": _list_of(_is_text),
}
"""Of the proof that a certificate has, where the index is not of an older build."""


def problem_of(manifest: JsonObject) -> str | None:
    """What makes a manifest unreadable, in words; None if nothing does."""
    problem = _wrong(manifest, _SCHEMA)
    if problem is not None:
        return f"it has {problem}"
    for name in _LATER_COUNTS:
        if not _is_count(manifest["counts"].get(name, 0)):
            return f"it has no sound counts.{name}"
    if not _list_of(_is_text)(manifest["same_bytes"].get("machines", [])):
        return "it has no sound same_bytes.machines"
    if "proof" in manifest["certificate"]:
        problem = _wrong(manifest["certificate"]["proof"], _PROOF, "certificate.proof")
        if problem is not None:
            return f"it has {problem}"
    if not _corpora(manifest["identity"]["corpus"]):
        return "it has no sound identity.corpus"
    if not _options(manifest["identity"]["options"]):
        return "it has no sound identity.options"
    if not _excluded(manifest.get("excluded_shards", []), manifest["counts"]["n_sentences"]):
        return "it has no sound excluded_shards"
    if not _list_of(_is_text)(manifest["model"].get("labels", [])):
        return "it has no sound model.labels"
    if not _list_of(_is_text)(manifest.get("statistics", [])):
        return "it has no sound statistics"
    layers = [(layer["stack"], layer["layer"]) for layer in manifest["model"]["layers"]]
    if len(set(layers)) != len(layers):
        return "it has a layer twice"
    dictionaries = manifest.get("dictionaries", [])
    if not isinstance(dictionaries, list) or (dictionaries and _wrong(dictionaries, [_DICTIONARY]) is not None):
        return "it has no sound dictionaries"
    names = {f"{one['stack']}.L{one['layer']}.{one['name']}" for one in dictionaries}
    if len(names) < len(dictionaries) or {(one["stack"], one["layer"]) for one in dictionaries} - set(layers):
        return "it has a dictionary twice, or one of no layer"
    kept = manifest.get("cells_kept")
    if kept is not None:
        problem = _wrong_cells(kept, manifest["model"]["layers"], dictionaries)
        if problem is not None:
            return problem
    if len(manifest["layer_projections"]) != len([*layers, *dictionaries] if kept is None else kept):
        return "it has not one of layer_projections for each layer"
    return None


def _corpora(corpus: JsonObject) -> bool:
    """Of a corpus, or several one after the other."""
    one = {"kind": _is_text, "name": _is_text}
    return corpus["kind"] != "several" or _wrong(corpus.get("corpora"), [one]) is None


def _wrong_cells(kept: Any, layers: list[JsonObject], dictionaries: list[JsonObject]) -> str | None:
    """What is wrong with the cells that a manifest says are there, where they are not all."""
    if not isinstance(kept, dict) or not kept:
        return "it has no sound cells_kept"
    of_dictionaries = [DictionaryFacts.from_json(one).cells for one in dictionaries]
    sizes = {layer.name: layer.d_ff for layer in (*CellSpace.from_json(layers).layers, *of_dictionaries)}
    for name, text in kept.items():
        runs = _runs(text)
        if runs is None or name not in sizes or runs[-1][1] > sizes[name]:
            return f"it has no sound cells_kept of {name}"
    return None


def _wrong(value: Any, schema: Any, where: str = "") -> str | None:
    """The first place where a value departs from a schema."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return f"no object {where}".rstrip()
        for name, inner in schema.items():
            place = f"{where}.{name}" if where else name
            problem = _wrong(value[name], inner, place) if name in value else f"no {place}"
            if problem:
                return problem
        return None
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return f"no list {where}"
        return next(filter(None, (_wrong(one, schema[0], where) for one in value)), None)
    return None if schema(value) else f"no sound {where}"
