"""What decides the content of an index, and what is told of it before a pass: identities, and the manifest's facts."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ffmem.errors import InputError
from ffmem.index.machine import processor_of
from ffmem.index.scan.worker import hashes_of, indexed_cells
from ffmem.models.base import Origin
from ffmem.models.inputs import longest_input
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.store.facts import Projection
from ffmem.store.paths import FORMAT, StorePaths
from ffmem.version import __version__


def identify(
    model: Transformer, source: str, revision: str | None, corpora: Sequence[Mapping[str, Any]], options: IndexOptions
) -> dict[str, Any]:
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


_NOT_COMPARED = re.compile(r"model\.(source|name)|corpus(\.corpora\.\d+)?\.name")
"""The same thing may lie elsewhere."""


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """In which words two identities differ, "" if they do not."""
    left, right = dict(_flat(found)), dict(_flat(asked))
    names = [n for n in {**right, **left} if not _NOT_COMPARED.fullmatch(n) and left.get(n) != right.get(n)]
    return "; ".join(f"{_readable(n)} is {left.get(n)!r} there and {right.get(n)!r} here" for n in names)


def without_exclusions(identity: Mapping[str, Any]) -> dict[str, Any]:
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
            "Choose another folder with --out, or give the same arguments to go on with that one",
        )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        elif isinstance(item, list):
            yield from _flat({str(number): one for number, one in enumerate(item)}, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def _readable(name: str) -> str:
    return "--" + name[8:].replace("_", "-") if name.startswith("options.") else name


def describe(
    model: Transformer, identity: dict[str, Any], options: IndexOptions, machines: Sequence[str]
) -> dict[str, Any]:
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


def _beside(origin: Origin) -> dict[str, Any]:
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
        InputError: cells, a projection, a token at the beginning or a length that do not fit the model.
    """
    indexed_cells(model, options)
    decide_projection(model, options)
    model.special_tokens(options.bos)
    longest_input(model, options.max_length)


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device is {device!r}, which cannot be used here: {str(error).splitlines()[0]}",
            f"Expected cpu{' or cuda' if torch.cuda.is_available() else ' (torch sees no GPU on this machine)'}",
            "Write --device cpu",
        ) from error


def hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
