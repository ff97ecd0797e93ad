"""Checks a finished index: every file, every range, and a sample of its triggers against the model itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ffmem.errors import InputError, StoreError
from ffmem.index.scan.exclusions import split_off
from ffmem.store.arrays import layer_sizes
from ffmem.store.fields import layer_arrays, shape_of
from ffmem.store.files import sha256_of
from ffmem.store.keys import NO_TOKEN
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ffmem.index.scan.batches import Shard
    from ffmem.models.transformer import Transformer

ROUNDING = 1e-4
"""Largest difference between stored and recomputed coefficients, as a share of the cell's largest."""
_N_ALONE = 6
"""Sentences that are run by the model's own plain call, alone."""
_MAX_ALONE = 256
"""Tokens of such a sentence, where shorter ones are there."""


@dataclass(frozen=True)
class Verification:
    """What was checked, and what was wrong."""

    n_files: int
    """Files whose length and SHA-256 were compared with the manifest."""
    n_arrays: int
    """Arrays whose dtype, shape and ranges were checked."""
    n_triggers: int
    """Stored triggers that were recomputed with the model."""
    n_comparisons: int
    """Sentence-cell pairs that were recomputed to see that none is missing from a list."""
    largest_error: float | None
    """Largest difference of a recomputed coefficient, as a share of its cell's largest; None without the model."""
    same_bytes: bool | None
    """Whether every recomputed coefficient had the stored bits; None without the model."""
    n_alone: int
    """Sentences that the model's own plain call was given alone, on what the tokenizer's own call gives; all of their triggers
    and pairs are compared, too."""
    largest_error_alone: float | None
    """As `largest_error`, of these."""
    identities: dict[str, Any] | None
    """The certificate, measured anew; None without the model."""
    problems: tuple[str, ...]
    """What is wrong, a sentence each; empty for a sound index."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return self.__dict__ | {"problems": list(self.problems)}


def verify_index(
    index: Index,
    *,
    with_model: bool = True,
    model: str | None = None,
    n_batches: int = 3,
    seed: int = 0,
    threads: int | None = None,
    trust_remote_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Check an index against its manifest and against the model it was built from.

    Args:
        index: an opened index.
        with_model: recompute a sample with the model; without it, only files, arrays and text are checked.
        model: where the model is now, if not where it was.
        n_batches: batches of sentences to recompute. Each is run in the shape it had in the build, so that on the same
            kind of processor the coefficients are the same bits; elsewhere they agree to rounding. Besides, some sentences
            are run alone, by the model's own plain call on what its tokenizer's own call gives: there they agree to rounding.
        seed: which batches.
        threads: processors for the model, by default as many as each worker of the build had: with others, coefficients agree
            to rounding only.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        progress: called with what is checked next.

    Raises:
        InputError: the model cannot be found, or is a different one.
    """
    say = progress or (lambda _: None)
    problems: list[str] = []
    say("files")
    problems += _wrong_files(index)
    say("arrays")
    n_arrays = 0
    for layer in range(index.n_layers):
        try:
            problems += _wrong_arrays(index, layer)
        except StoreError as error:
            problems.append(str(error))
        n_arrays += len(layer_arrays())
    try:
        problems += _wrong_text(index)
    except StoreError as error:
        problems.append(str(error))
    checked: dict[str, Any] = {
        "n_triggers": 0,
        "n_comparisons": 0,
        "largest_error": None,
        "same_bytes": None,
        "n_alone": 0,
        "largest_error_alone": None,
        "identities": None,
    }
    if with_model and not problems:
        say("triggers, with the model")
        checked, wrong = _against_model(index, model, n_batches, seed, threads, trust_remote_code)
        problems += wrong
    return Verification(n_files=len(index.manifest.files), n_arrays=n_arrays, problems=tuple(problems), **checked)


def _wrong_files(index: Index) -> Iterator[str]:
    for name, expected in index.manifest.files.items():
        path = index.folder / name
        if path.stat().st_size != expected.n_bytes:
            yield f"{name} has {path.stat().st_size:,} bytes, not {expected.n_bytes:,}"
        elif sha256_of(path) != expected.sha256:
            yield f"{name} has changed: its SHA-256 is not that of the manifest"
    for path in sorted(StorePaths(index.folder).index.rglob("*")):
        name = path.relative_to(index.folder).as_posix()
        if path.is_file() and name not in index.manifest.files:
            yield f"{name} is not in the manifest: this folder holds what the build wrote, and nothing else"


def _wrong_arrays(index: Index, layer: int) -> Iterator[str]:
    arrays, cells = index.layer(layer), index.cells.layers[layer]
    name_of_layer = f"layer {cells.name}"
    sizes = layer_sizes(index.manifest, cells)
    for name, (dtype, axes) in layer_arrays().items():
        array = getattr(arrays, name)
        shape = shape_of(axes, sizes)
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            yield f"{name_of_layer}: {name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}"
            return
    tokens, coefficients = arrays.trigger_token, arrays.trigger_coefficient
    filled = tokens != NO_TOKEN
    n_tokens = index.manifest.counts.n_tokens
    with np.errstate(invalid="ignore"):  # damaged bits may be a signalling NaN
        magnitudes = coefficients * np.array([1, -1], dtype=np.float32)[: index.n_signs, None]
    if (tokens[filled] >= n_tokens).any():
        yield f"{name_of_layer}: a trigger lies past the last of {n_tokens:,} tokens"
    starts = index.text.sentence_start
    for first, end in index.manifest.excluded_ranges:
        if ((tokens >= starts[first]) & (tokens < starts[end])).any():
            yield f"{name_of_layer}: a trigger lies in sentences {first} to {end - 1}, which were left out"
    if not (magnitudes[filled] > 0).all() or (coefficients[~filled] != 0).any():
        yield f"{name_of_layer}: a trigger's coefficient has the wrong sign, or an empty slot has one"
    if (magnitudes[:, :, 1:] > magnitudes[:, :, :-1]).any() or (np.diff(filled.astype(np.int8), axis=2) > 0).any():
        yield f"{name_of_layer}: a trigger list is not in order"
    slots = arrays.slot_by_token
    if (slots >= len(slots)).any() or (np.diff(tokens.reshape(-1)[slots].astype(np.int64)) < 0).any():
        yield f"{name_of_layer}: the list from sentences to cells is not in order"
    if not (np.isfinite(arrays.promoted_scores).all() and np.isfinite(arrays.suppressed_scores).all()):
        yield f"{name_of_layer}: a promoted token's score is not a finite number"
    if (np.maximum(arrays.promoted_ids, arrays.suppressed_ids) >= index.manifest.model.d_vocab).any():
        yield f"{name_of_layer}: a promoted token's id is not in the vocabulary"
    expected = _expected_counts(index)
    if cells.n_groups == 1 and tuple(arrays.counts[0].tolist()) != expected:
        counted = "{:,} positions of {:,} sentences".format(*arrays.counts[0].tolist())
        yield f"{name_of_layer}: it counts {counted}, not {expected[0]:,} of {expected[1]:,}"
    if (arrays.histogram.sum(2, dtype=np.int64) != np.repeat(arrays.counts[:, 1], cells.group_size)[:, None]).any():
        yield f"{name_of_layer}: a histogram does not count each sentence once"


def _expected_counts(index: Index) -> tuple[int, int]:
    """How many positions compete, of how many sentences: all but the first few of each, and what was left out."""
    text, n_sentences = index.text, index.manifest.counts.n_sentences
    lengths = np.diff(text.sentence_start[: n_sentences + 1].astype(np.int64))
    context = np.zeros_like(lengths) if text.context is None else text.context[:n_sentences].astype(np.int64)
    skip_first = index.manifest.options.skip_first
    competing = lengths - np.maximum(context, skip_first)
    for first, end in index.manifest.excluded_ranges:
        competing[first:end] = 0
    return int(competing.clip(0).sum()), int((competing > 0).sum())


def _wrong_text(index: Index) -> Iterator[str]:
    counts = index.manifest.counts
    if index.text.n_sentences != counts.n_sentences:
        yield f"the text has {index.text.n_sentences:,} indexed sentences, not {counts.n_sentences:,}"
    context = index.text.context
    if context is not None and (context >= np.diff(index.text.sentence_start)).any():
        yield "a sentence of the text has more context than tokens"
    problem = index.text.integrity_problem()
    if problem:
        yield problem
        return
    try:
        for _ in index.text.metadata():
            pass
    except StoreError as error:
        yield error.got


def _against_model(
    index: Index, model: str | None, n_batches: int, seed: int, threads: int | None, trust_remote_code: bool
) -> tuple[dict[str, Any], list[str]]:
    """Recompute whole batches: each stored trigger in them, and that no better trigger was left out."""
    # torch takes seconds to import, and checking files does not need it
    from ffmem.index.certificate import TOLERANCE, certify, sentences_of
    from ffmem.index.machine import processor
    from ffmem.index.scan.batches import plan_shards
    from ffmem.index.scan.shard_text import ShardText, read_tokens
    from ffmem.models.plain_call import plain_coefficients, plain_input
    from ffmem.models.threads import torch_threads
    from ffmem.store.paths import StorePaths

    options = index.manifest.options
    threads = options.threads if threads is None else threads
    with torch_threads(threads):
        loaded = load_indexed_model(index, model, options.device, trust_remote_code=trust_remote_code)
        folder = StorePaths(index.folder).index
        # first, so that the model runs below as it must be run
        cut = index.manifest.counts.n_windows > 0
        certificate = certify(loaded, folder, options, cut)
        text = ShardText(read_tokens(folder), loaded, options)
        all_shards = plan_shards(
            index.text.sentence_start, index.manifest.counts.n_sentences_by_corpus, options.shard_tokens
        )
        shards, _ = split_off(all_shards, options.exclude_shards)
        batches = [batch for shard in shards for batch in text.batches(shard)]
        drawn = np.random.default_rng(seed).choice(len(batches), size=min(n_batches, len(batches)), replace=False)
        tally = _Tally(index)
        for number in sorted(drawn.tolist()):
            for sentence_id, layers in zip(
                batches[number].sentence_ids, text.coefficients(batches[number]), strict=True
            ):
                tally.check(sentence_id, _stored(index, layers), text.first_competing(sentence_id))
        # products of another shape are rounded otherwise, by a share of the layer's largest
        alone = _Tally(index, ROUNDING if options.dtype == "float32" else TOLERANCE[options.dtype], floor=0.5)
        drawn_alone = _sentences_to_run_alone(index, shards, seed)
        for sentence_id, one in zip(drawn_alone, sentences_of(loaded, folder, drawn_alone, options, cut), strict=True):
            given = plain_input(loaded, one.text, options.bos, one.token_ids, one.is_piece)
            if given is not None:
                layers = [m[given.own_slice].cpu().numpy() for m in plain_coefficients(loaded, given)]
                alone.check(sentence_id, _stored(index, layers), text.first_competing(sentence_id))
    promise = index.manifest.same_bytes
    like_the_build = promise.processor == processor() and threads == options.threads
    if promise.holds and like_the_build and not tally.same_bytes:
        tally.problems.append(
            "recomputed coefficients differ in their last bits, although this processor and one thread built the index: "
            "another torch, or a damaged file"
        )
    return {
        "n_triggers": tally.n_triggers,
        "n_comparisons": tally.n_comparisons,
        "largest_error": tally.largest_error,
        "same_bytes": tally.same_bytes,
        "n_alone": len(drawn_alone),
        "largest_error_alone": alone.largest_error,
        "identities": certificate["errors"],
    }, tally.problems + [f"{problem} (run alone, by the model's own call)" for problem in alone.problems]


def _sentences_to_run_alone(index: Index, shards: "Sequence[Shard]", seed: int) -> list[int]:
    """Indexed sentences drawn at random, of those that are not long."""
    ids = np.concatenate([np.arange(shard.first_sentence, shard.end_sentence) for shard in shards])
    lengths = np.diff(index.text.sentence_start.astype(np.int64))[ids]
    short = ids[lengths <= max(_MAX_ALONE, int(lengths.min()))]
    drawn = np.random.default_rng(seed).choice(short, size=min(_N_ALONE, len(short)), replace=False)
    return sorted(drawn.tolist())


def _stored(index: Index, layers: list[np.ndarray]) -> list[np.ndarray]:
    """Of the coefficients of all cells of the model, (own tokens, cells) for each layer, those of the cells of an index."""
    if index.cells.is_whole:
        return layers
    return [layers[index.cells.whole_place(i)][:, one.whole_rows] for i, one in enumerate(index.cells.layers)]


def load_indexed_model(
    index: Index, source: str | None = None, device: str = "cpu", *, trust_remote_code: bool = False
) -> "Transformer":
    """The model that an index was built from.

    Args:
        index: an opened index.
        source: where the model is now, if not where it was.
        device: where to put it.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.

    Raises:
        InputError: the model cannot be found, or has other weights.
    """
    from ffmem.index.certificate import adopt_proof
    from ffmem.models.registry import load_model

    identity = index.manifest.identity
    revision = None if source else identity.model.revision
    source = source or identity.model.source
    options = identity.options
    loaded = load_model(
        source,
        dtype=options.dtype,
        device=device,
        revision=revision,
        quantize=options.quantize,
        trust_remote_code=trust_remote_code,
        architecture=options.architecture,
    )
    if loaded.weights_hash() != identity.model.weights_sha256:
        raise InputError(
            f"the model at {source} has other weights than the one that {index.folder} was built from",
            f"Expected weights with SHA-256 {identity.model.weights_sha256[:16]}...",
            "Say where that model is: --model FOLDER",
        )
    index.check_layers(loaded.cells)
    adopt_proof(loaded, index.manifest)
    return loaded


class _Tally:
    """Compares recomputed sentences with the stored lists.

    Args:
        index: whose lists they are.
        limit: largest error that counts as rounding, as a share of the cell's largest coefficient.
        floor: as a share of the largest of the layer, below which no cell's largest is taken to be.
    """

    def __init__(self, index: Index, limit: float = ROUNDING, floor: float = 0.0) -> None:
        self._index, self._limit, self._floor = index, limit, floor
        self.n_triggers = self.n_comparisons = 0
        self.largest_error, self.same_bytes = 0.0, True
        self.problems: list[str] = []

    def check(self, sentence_id: int, layers: list[np.ndarray], skip: int) -> None:
        """Take the coefficients of one sentence, (own tokens, cells) for each layer; the first ``skip`` do not compete."""
        first, _ = self._index.text.sentence_range(sentence_id)
        for layer, coefficients in enumerate(layers):
            if len(coefficients) <= skip:
                continue
            arrays = self._index.layer(layer)
            scale = np.maximum(np.abs(arrays.minimum), np.abs(arrays.maximum))
            scale = np.maximum(scale, self._floor * scale.max(initial=0.0))
            for number, sign in enumerate((1, -1)[: self._index.n_signs]):
                signed = coefficients[skip:] * np.float32(sign)
                tokens = arrays.trigger_token[:, number].astype(np.int64)
                stored = arrays.trigger_coefficient[:, number] * np.float32(sign)
                self._soundness(sentence_id, layer, coefficients * np.float32(sign), tokens - first, stored, scale)
                self._completeness(
                    sentence_id, layer, signed.max(0), tokens - first, stored, (scale, len(coefficients))
                )

    def _soundness(
        self,
        sentence_id: int,
        layer: int,
        signed: np.ndarray,
        positions: np.ndarray,
        stored: np.ndarray,
        scale: np.ndarray,
    ) -> None:
        """Each stored trigger in this sentence has the coefficient that the model gives."""
        cells, ranks = np.nonzero((positions >= 0) & (positions < len(signed)))
        if len(cells) == 0:
            return
        fresh, old = signed[positions[cells, ranks], cells], stored[cells, ranks]
        error = np.abs(fresh - old) / scale[cells]
        self.n_triggers += len(cells)
        self.same_bytes &= bool((fresh == old).all())
        self.largest_error = max(self.largest_error, float(error.max()))
        worst = int(error.argmax())
        if not error[worst] <= self._limit:
            cell = self._index.cells.cell_id(layer, int(cells[worst]))
            self.problems.append(
                f"{cell}: the coefficient in sentence {sentence_id} is stored as {old[worst]:.6g}, "
                f"and the model gives {fresh[worst]:.6g}"
            )

    def _completeness(
        self,
        sentence_id: int,
        layer: int,
        best: np.ndarray,
        positions: np.ndarray,
        stored: np.ndarray,
        sizes: tuple[np.ndarray, int],
    ) -> None:
        """A sentence whose best coefficient clearly beats the last of a list stands in that list."""
        scale, length = sizes
        listed = ((positions >= 0) & (positions < length)).any(1)
        missing = (best > stored[:, -1] + self._limit * scale) & (best > 0) & ~listed
        self.n_comparisons += len(best)
        for row in np.flatnonzero(missing)[:1].tolist():
            cell = self._index.cells.cell_id(layer, row)
            self.problems.append(
                f"{cell}: sentence {sentence_id} reaches {best[row]:.6g} but is not among the triggers, "
                f"whose last has {stored[row, -1]:.6g}"
            )
