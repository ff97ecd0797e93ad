"""What decides the content of an index, and what is told of it before a pass: identities, and the manifest's facts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ffmem.errors import InputError
from ffmem.ids import CellSpace
from ffmem.index.machine import processor_of
from ffmem.index.state.quadrants import keeps_sign
from ffmem.json_values import JsonObject, to_json
from ffmem.models.attached import identities_of
from ffmem.models.base import Origin
from ffmem.models.inputs import longest_input
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.selection import select
from ffmem.store.collection_cells import without_collections
from ffmem.store.facts import Projection
from ffmem.store.identity import differences
from ffmem.store.paths import FORMAT, StorePaths
from ffmem.store.reader import Index
from ffmem.version import __version__


def hashes_of(model: Transformer) -> dict[str, str]:
    """What tells a model from others: its weights, config and tokenizer; an adapter, code, dictionaries where it has them."""
    return {
        "weights_sha256": model.weights_hash(),
        "config_sha256": model.config_hash(),
        "tokenizer_sha256": model.tokenizer_hash(),
        **model.origin.identity,
        **identities_of(model),
    }


def indexed_cells(model: Transformer, options: IndexOptions) -> CellSpace:
    """The cells of a model that an index with these options has: those that are chosen, and all of its dictionaries."""
    own = select(model.cells, options.cells, options.seed)
    if not model.dictionaries:
        return own
    layers = [*own.layers, *(one.cells for one in model.dictionaries)]
    return model.all_cells.keep({one.name: one.kept or ((0, one.d_ff),) for one in layers})


def with_named_cells(model: Transformer, options: IndexOptions, base: Index | None) -> IndexOptions:
    """Options in which cells stand in the place of collections, so that an index does not depend on their files.

    Args:
        model: the model.
        options: the options.
        base: the index that is extended: `@NAME` is one of its collections; None: only files can be named.

    Raises:
        InputError: there is no such collection, or it is of another model.
        StoreError: its file is damaged.
    """
    if options.cells is None or "@" not in options.cells:
        return options
    return replace(options, cells=without_collections(options.cells, model.weights_hash(), model.facts.name, base))


def identify(
    model: Transformer, source: str, revision: str | None, corpora: Sequence[Mapping[str, Any]], options: IndexOptions
) -> JsonObject:
    """What decides the content of an index; two builds with equal identities are equal."""
    return {
        "ffmem": __version__,
        "format": FORMAT,
        "model": {
            "name": model.facts.name,
            "source": source,
            "revision": revision,
            **hashes_of(model),
        },
        "corpus": join_corpora(corpora),
        "options": options.to_json(),
    }


def join_corpora(corpora: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The identity of a corpus, or of several one after the other."""
    if len(corpora) == 1:
        return corpora[0]
    return {"kind": "several", "name": " + ".join(one["name"] for one in corpora), "corpora": list(corpora)}


def without_exclusions(identity: Mapping[str, Any]) -> JsonObject:
    """An identity as far as it decides what a shard gives: which shards are left out does not."""
    kept = {name: value for name, value in identity["options"].items() if name != "exclude_shards"}
    return {**identity, "options": kept}


def check_same(paths: StorePaths, asked: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse to go on with, or open, an index of something else; the message names each difference."""
    told = differences(found, asked)
    if told:
        raise InputError(
            f"{paths.folder} holds an index of something else: {told}",
            "Expected the same model, corpus and options as the build that began it",
            "Choose another folder with --out, or give the same arguments to resume that one",
        )


def describe(model: Transformer, identity: JsonObject, options: IndexOptions, machines: Sequence[str]) -> JsonObject:
    """All of the manifest that does not come from the corpus.

    Args:
        model: the model.
        identity: what `identify` gave.
        options: the options.
        machines: the different machines that computed, as `machine.machine` tells them.
    """
    prefix, suffix = model.special_tokens(options.bos)
    cells = indexed_cells(model, options)
    holds, why = _same_bytes(options, machines)
    return {
        "format": FORMAT,
        "identity": identity,
        "model": model.facts.to_json(),
        **_beside(model.origin),
        **({} if cells.is_whole else {"cells_kept": cells.kept_to_json()}),
        **({"dictionaries": to_json([one.facts for one in model.dictionaries])} if model.dictionaries else {}),
        "projection": decide_projection(model, options),
        "layer_projections": [
            model.projection_of(cells.whole_place(place), decide_projection(model, options))
            for place in range(len(cells.layers))
        ],
        "special_tokens": {"prefix": list(prefix), "suffix": list(suffix)},
        "same_bytes": {
            "holds": holds,
            "processor": processor_of(machines[0]),
            "machines": list(machines),
            "why": why,
        },
    }


def _beside(origin: Origin) -> JsonObject:
    """What of the model's folder no analysis asks, where there is such a thing."""
    told = {"unused_tensors": dict(origin.unused), "files_not_read": list(origin.not_read)}
    return {"model_files": told} if origin.unused or origin.not_read else {}


def _same_bytes(options: IndexOptions, machines: Sequence[str]) -> tuple[bool, str]:
    """Whether another build gives the same bytes, and why."""
    if options.device != "cpu" or options.threads != 1:
        return False, f"device {options.device}, {options.threads} threads: another build is equal to rounding only"
    if len(machines) > 1:
        return (
            False,
            f"computed on machines that differ ({'; '.join(machines)}): another build is equal to rounding only",
        )
    return (
        True,
        f"one thread a worker on a CPU ({processor_of(machines[0])}): the same bytes on any machine with this processor",
    )


def decide_projection(model: Transformer, options: IndexOptions) -> Projection:
    """The projection of values: "auto" is "adaptive" or "folded" where the model has it, else "raw"."""
    available = model.facts.projections
    if not available:
        raise InputError(
            f"{model.facts.name} has no vocabulary as wide as its stream, so that its values have no scores over tokens",
            "Expected a model with an embedding that its states can be read with",
            "Its coefficients can be read from Python: load_model(...).watch_coefficients; for an index use another model",
        )
    if options.projection == "auto":
        return next((one for one in ("adaptive", "folded") if one in available), "raw")
    if options.projection not in available:
        raise InputError(
            f"--projection is {options.projection!r}, which {model.facts.name} does not have",
            f"Expected auto or one of: {', '.join(available)}",
            "Leave --projection out",
        )
    return options.projection


def check_options(model: Transformer, options: IndexOptions) -> None:
    """Refuse what the model does not have: before anything is written, so that a mended command may go on there.

    Raises:
        InputError: cells, quadrants, a projection, a token at the beginning or a length that do not fit the model.
    """
    indexed_cells(model, options)
    if options.quadrants:
        _check_quadrants(model)
    decide_projection(model, options)
    model.special_tokens(options.bos)
    longest_input(model, options.max_length)


def _check_quadrants(model: Transformer) -> None:
    """Refuse quadrants where there are none, or where a coefficient's sign is not that of gate times up."""
    if not model.facts.gated:
        raise InputError(
            f"--quadrants is given, and the cells of {model.facts.name} are not gated",
            "Expected a model of gated cells: those of others have one input, and so no quadrants",
            "Leave --quadrants out",
        )
    if model.dictionaries:
        raise InputError(
            "--quadrants and --dictionary are given together, and the cells of a dictionary are not gated",
            "Expected one of them",
            "Build two indexes, one with each",
        )
    if model.activation is None or not keeps_sign(model.activation):
        raise InputError(
            f"--quadrants is given, and the activation of {model.facts.name}, {model.facts.activation}, is not known to keep "
            "the sign of its gate",
            "Expected one that gives nothing above 0 for a gate below 0, and nothing below 0 for one above: silu, gelu, relu",
            "Leave --quadrants out",
        )


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
