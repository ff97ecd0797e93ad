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
from ffmem.store.arrays import LayerArrays
from ffmem.store.fields import LABEL_ARRAYS, PROMOTED_ARRAYS, Field
from ffmem.store.files import atomic_write
from ffmem.store.identity import differences
from ffmem.store.keys import EMPTY, NO_TOKEN, pack
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index
from ffmem.store.strata import sample_keys, sentence_digests


def states_of(index: Index, token_offset: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """The state of each layer that its stored arrays were made from: see store/fields.py.

    Args:
        index: a finished index.
        token_offset: how far its tokens are moved.
    """
    options = index.manifest.options
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        yield {
            field.name: _of_layer(index, field, arrays, token_offset)
            for field in fields.state_fields(
                options.quadrants, bool(options.sample), index.manifest.has_active_sentences
            )
        }


def _of_layer(index: Index, field: Field, arrays: LayerArrays, token_offset: int) -> np.ndarray:
    """An array of a state, from those that a layer file has."""
    if field.lists is not None:
        coefficients, tokens = (getattr(arrays, name) for name in field.lists)
        return _keys(coefficients, tokens, token_offset)
    if field.tokens is not None:
        return keys_of_sample(index, getattr(arrays, field.tokens), token_offset)
    return field.from_layer(getattr(arrays, field.name))


def keys_of_sample(index: Index, stored: np.ndarray, token_offset: int = 0) -> np.ndarray:
    """The keys of a sample of which a layer file has the token indices: their lots are drawn anew.

    Args:
        index: a finished index.
        stored: the token indices.
        token_offset: how far its tokens are moved.

    Cost: reads the sentences that these tokens lie in.
    """
    filled = stored != NO_TOKEN
    tokens, where = np.unique(stored[filled].astype(np.int64), return_inverse=True)
    starts = index.text.sentence_start
    sentences, of_token = np.unique(
        np.searchsorted(starts, tokens.astype(np.uint64), side="right") - 1, return_inverse=True
    )
    begins, ends = (starts[sentences + n].astype(np.int64) for n in (0, 1))
    lengths = ends - begins
    stops = np.cumsum(lengths)
    inside = np.arange(lengths.sum()) - np.repeat(stops - lengths, lengths) + np.repeat(begins, lengths)
    digests = sentence_digests(index.text.token_id[inside], stops, index.manifest.options.sample_seed)
    keys = np.full(stored.shape, EMPTY, dtype=np.int64)
    keys[filled] = sample_keys(digests[of_token], tokens - begins[of_token], tokens + token_offset)[where]
    return keys


def _keys(coefficients: np.ndarray, stored: np.ndarray, token_offset: int) -> np.ndarray:
    """The keys of triggers that a layer file has as coefficients and token indices."""
    stored = stored.astype(np.int64)
    tokens = np.where(stored == NO_TOKEN, NO_TOKEN, stored + token_offset)
    return np.ascontiguousarray(pack(np.abs(coefficients), tokens).transpose(1, 0, 2))


def copy_promoted(index: Index, work: Path) -> None:
    """Put the promoted tokens of an index, and scores of labels, where a build keeps those that it has found."""
    names = PROMOTED_ARRAYS + (LABEL_ARRAYS if index.manifest.model.labels else ())
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        atomic_write(promoted_path(work, layer), save({n: np.array(getattr(arrays, n)) for n in names}))


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
