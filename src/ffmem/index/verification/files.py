"""Checks the files, arrays and text of a finished index; knows no model."""

from collections.abc import Iterator, Sequence

import numpy as np

from ffmem.errors import StoreError
from ffmem.index.verification.sample import wrong_sample
from ffmem.store.fields import QUADRANT_SIGNS, arrays_with
from ffmem.store.files import sha256_of_each
from ffmem.store.keys import NO_TOKEN
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index


def wrong_files(index: Index) -> Iterator[str]:
    """What is wrong with the files of an index, against its manifest."""
    files = {index.folder / name: (name, expected) for name, expected in index.manifest.files.items()}
    whole = [path for path, (_, expected) in files.items() if path.stat().st_size == expected.n_bytes]
    digests = dict(zip(whole, sha256_of_each(whole), strict=True))
    for path, (name, expected) in files.items():
        if path not in digests:
            yield f"{name} has {path.stat().st_size:,} bytes, not {expected.n_bytes:,}"
        elif digests[path] != expected.sha256:
            yield f"{name} has changed: its SHA-256 is not that of the manifest"
    for path in sorted(StorePaths(index.folder).index.rglob("*")):
        name = path.relative_to(index.folder).as_posix()
        if path.is_file() and name not in index.manifest.files:
            yield f"{name} is not in the manifest: this folder holds what the build wrote, and nothing else"


def wrong_arrays(index: Index, layer: int, expected: tuple[int, int] | None = None) -> Iterator[str]:
    """What is wrong with the arrays of a layer.

    Args:
        index: an opened index.
        layer: its place.
        expected: what `expected_counts` gives, which is the same for each layer; None: ask it.

    Raises:
        StoreError: one of them is missing, or of another type or shape.
    """
    arrays, cells = index.layer(layer), index.cells.layers[layer]
    name_of_layer = f"layer {cells.name}"
    for name in arrays_with(arrays.sizes):
        getattr(arrays, name)
    tokens = arrays.trigger_token
    for problem in _wrong_lists(index, tokens, arrays.trigger_coefficient, (1, -1)[: index.n_signs]):
        yield f"{name_of_layer}: {problem}"
    slots = arrays.slot_by_token
    if (slots >= len(slots)).any() or _falls(tokens.reshape(-1)[slots]):
        yield f"{name_of_layer}: the list from sentences to cells is not in order"
    if not (np.isfinite(arrays.promoted_scores).all() and np.isfinite(arrays.suppressed_scores).all()):
        yield f"{name_of_layer}: a promoted token's score is not a finite number"
    if (np.maximum(arrays.promoted_ids, arrays.suppressed_ids) >= index.manifest.model.d_vocab).any():
        yield f"{name_of_layer}: a promoted token's id is not in the vocabulary"
    if arrays.sizes["labels"] and not np.isfinite(arrays.label_scores).all():
        yield f"{name_of_layer}: a label's score is not a finite number"
    expected = expected or expected_counts(index)
    if cells.n_groups == 1 and tuple(arrays.counts[0].tolist()) != expected:
        counted = "{:,} positions of {:,} sentences".format(*arrays.counts[0].tolist())
        yield f"{name_of_layer}: it counts {counted}, not {expected[0]:,} of {expected[1]:,}"
    if index.manifest.has_active_sentences:
        for problem in _wrong_sentences(index, layer):
            yield f"{name_of_layer}: {problem}"
    if (arrays.histogram.sum(2, dtype=np.int64) != np.repeat(arrays.counts[:, 1], cells.group_size)[:, None]).any():
        yield f"{name_of_layer}: a histogram does not count each sentence once"
    if index.manifest.options.sample:
        for problem in wrong_sample(index, layer):
            yield f"{name_of_layer}, its sample: {problem}"
    if index.manifest.options.quadrants:
        for problem in _wrong_quadrants(index, layer):
            yield f"{name_of_layer}, by quadrant: {problem}"


def _wrong_lists(index: Index, tokens: np.ndarray, coefficients: np.ndarray, signs: Sequence[int]) -> Iterator[str]:
    """What is wrong with the trigger lists of a layer, (cells, lists, top); ``signs`` are those of the lists."""
    filled = tokens != NO_TOKEN
    n_tokens = index.manifest.counts.n_tokens
    with np.errstate(invalid="ignore"):  # damaged bits may be a signalling NaN
        magnitudes = coefficients * np.array(signs, dtype=np.float32)[:, None]
    if (tokens[filled] >= n_tokens).any():
        yield f"a trigger lies past the last of {n_tokens:,} tokens"
    starts = index.text.sentence_start
    for first, end in index.manifest.excluded_ranges:
        if ((tokens >= starts[first]) & (tokens < starts[end])).any():
            yield f"a trigger lies in sentences {first} to {end - 1}, which were left out"
    if not (magnitudes[filled] > 0).all() or (coefficients[~filled] != 0).any():
        yield "a trigger's coefficient has the wrong sign, or an empty slot has one"
    if (magnitudes[:, :, 1:] > magnitudes[:, :, :-1]).any() or (np.diff(filled.astype(np.int8), axis=2) > 0).any():
        yield "a trigger list is not in order"


def _wrong_sentences(index: Index, layer: int) -> Iterator[str]:
    """What is wrong with the sentences in which cells are active, where other arrays tell of them, too."""
    arrays, top = index.layer(layer), index.top
    found, n_seen = arrays.n_active_sentences, np.repeat(arrays.counts[:, 1], index.cells.layers[layer].group_size)
    if (found < 0).any() or (found > np.minimum(arrays.n_active, n_seen)).any():
        yield "a cell is active in more sentences than positions, or than it saw"
    if ((found > 0) != (arrays.n_active > 0)).any():
        yield "a cell is active at positions, and in no sentence, or the other way about"
    if (found < arrays.histogram[:, 0, 1:].sum(1, dtype=np.int64)).any():
        yield "a cell is active in fewer sentences than its histogram has above the lowest bin"
    listed = (arrays.trigger_token[:, 0] != NO_TOKEN).sum(1)
    if index.manifest.options.per_sentence == "1" and (listed != np.minimum(found, top)).any():
        yield "a trigger list has more or fewer sentences than the cell is active in"


def _wrong_quadrants(index: Index, layer: int) -> Iterator[str]:
    """What is wrong with what is kept by quadrant, also where it must agree with what is kept of both signs."""
    arrays, cells = index.layer(layer), index.cells.layers[layer]
    yield from _wrong_lists(index, arrays.quadrant_token, arrays.quadrant_coefficient, QUADRANT_SIGNS)
    positive = np.array(QUADRANT_SIGNS) > 0
    n_active, maximum = arrays.quadrant_n_active, arrays.quadrant_maximum
    n_positions = np.repeat(arrays.counts[:, 0], cells.group_size)
    if (n_active < 0).any() or (n_active.sum(0) > n_positions).any():
        yield "a cell has more positions than it saw"
    if (n_active[positive].sum(0) != arrays.n_active).any():
        yield "positive coefficients are not as many as those with gate and up branch of one sign"
    for of_sign, extreme in ((positive, arrays.maximum), (~positive, -arrays.minimum)):
        if (maximum[of_sign].max(0) != np.maximum(extreme, 0)).any():
            yield "the largest coefficient of a cell is in none"
    if (maximum != np.abs(arrays.quadrant_coefficient[:, :, 0]).T).any():
        yield "a first trigger does not have the largest coefficient"


def _falls(numbers: np.ndarray) -> bool:
    return bool((numbers[1:] < numbers[:-1]).any())


def expected_counts(index: Index) -> tuple[int, int]:
    """How many positions compete, of how many sentences: all but the first few of each, and what was left out."""
    text, n_sentences = index.text, index.manifest.counts.n_sentences
    lengths = np.diff(text.sentence_start[: n_sentences + 1].astype(np.int64))
    context = np.zeros_like(lengths) if text.context is None else text.context[:n_sentences].astype(np.int64)
    skip_first = index.manifest.options.skip_first
    competing = lengths - np.maximum(context, skip_first)
    for first, end in index.manifest.excluded_ranges:
        competing[first:end] = 0
    return int(competing.clip(0).sum()), int((competing > 0).sum())


def wrong_text(index: Index) -> Iterator[str]:
    """What is wrong with the text of an index."""
    counts = index.manifest.counts
    n_sentences = index.text.count_indexed()
    if n_sentences != counts.n_sentences:
        yield f"the text has {n_sentences:,} indexed sentences, not {counts.n_sentences:,}"
    if index.text.n_sentences != counts.n_sentences:
        first = index.text.n_sentences
        yield f"a sentence that is held out stands at {first:,}, before the {counts.n_sentences:,} indexed ones end"
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
