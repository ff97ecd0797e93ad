"""What a finished index hands on to one that is made from it: its state, its text, its promoted tokens."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ffmem.errors import InputError
from ffmem.index.identity import without_exclusions
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.tasks import promoted_path
from ffmem.index.text.writer import TextBase, TextCounts
from ffmem.json_values import JsonObject
from ffmem.options import format_shards, parse_shards
from ffmem.store import fields
from ffmem.store.fields import PROMOTED_ARRAYS
from ffmem.store.files import atomic_write
from ffmem.store.identity import differences
from ffmem.store.keys import NO_TOKEN, pack
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index


def states_of(index: Index, token_offset: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """The state of each layer that its stored arrays were made from: see store/fields.py.

    Args:
        index: a finished index.
        token_offset: how far its tokens are moved.
    """
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        yield {
            field.name: field.from_layer(getattr(arrays, field.name))
            if field.lists is None
            else _keys(getattr(arrays, field.lists[0]), getattr(arrays, field.lists[1]), token_offset)
            for field in fields.state_fields(index.manifest.options.quadrants)
        }


def _keys(coefficients: np.ndarray, stored: np.ndarray, token_offset: int) -> np.ndarray:
    """The keys of triggers that a layer file has as coefficients and token indices."""
    stored = stored.astype(np.int64)
    tokens = np.where(stored == NO_TOKEN, NO_TOKEN, stored + token_offset)
    return np.ascontiguousarray(pack(np.abs(coefficients), tokens).transpose(1, 0, 2))


def copy_promoted(index: Index, work: Path) -> None:
    """Put the promoted tokens of an index where a build keeps those that it has found."""
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        atomic_write(promoted_path(work, layer), save({n: np.array(getattr(arrays, n)) for n in PROMOTED_ARRAYS}))


def text_of(index: Index) -> TextBase:
    """The text of an index, to be continued."""
    known = {field.name for field in dataclasses.fields(TextCounts)}
    counts = {name: value for name, value in index.manifest.counts.json.items() if name in known}
    return TextBase(StorePaths(index.folder).index, TextCounts(**counts))


def check_extendable(base: Index, asked: JsonObject) -> None:
    """Refuse to extend an index of another model or with other options, or one that stopped at a limit."""
    found = without_exclusions(base.manifest.identity.json)
    told = differences(
        {name: value for name, value in found.items() if name != "corpus"},
        {name: value for name, value in without_exclusions(asked).items() if name != "corpus"},
    )
    if told:
        raise InputError(
            f"{base.folder} cannot be extended with these options: {told}",
            "Expected the same model and options",
            f"Give the options that `ffmem info {base.folder}` shows",
        )
    _check_exclusions(base, asked["options"]["exclude_shards"])
    stopped_by = base.manifest.counts.stopped_by
    if stopped_by is not None:
        flag = "--" + stopped_by.replace("_", "-")
        raise InputError(
            f"the build of {base.folder} stopped at {flag}, so no text can follow it",
            "Expected an index of whole corpora",
            f"Build it without {flag}, then extend that one",
        )


def n_shards(index: Index) -> int:
    """Shards of a finished index, those that were left out included; it has as many in an index that it becomes part of."""
    manifest = index.manifest
    n_sentences = manifest.counts.n_sentences_by_corpus
    return len(plan_shards(index.text.sentence_start, n_sentences, manifest.options.shard_tokens))


def _check_exclusions(base: Index, asked: str | None) -> None:
    """What was found of a shard is in the base or not; nothing can be taken out of it."""
    n, left_out = n_shards(base), base.manifest.options.exclude_shards
    here = format_shards(shard for shard in parse_shards(asked) if shard < n)
    if here != left_out:
        raise InputError(
            f"of the {n} shards of {base.folder}, {left_out or 'none'} are left out there and {here or 'none'} here",
            "Expected the same ones: an extension keeps what that index has found",
            f"Write --exclude-shards {left_out}" if left_out else f"Name only shards from {n} on",
        )
