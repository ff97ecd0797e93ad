"""Checks a sample of the triggers of an index against the model itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import torch

from ffmem.index.certificate import TOLERANCE, certify, sentences_of
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.machine import processor
from ffmem.index.resources import free_memory
from ffmem.index.scan.batches import Shard, plan_shards
from ffmem.index.scan.exclusions import split_off
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.index.state.quadrants import magnitudes
from ffmem.index.text.head import head_of, may_have_pieces
from ffmem.index.verification.drawn_slots import DrawnSlots
from ffmem.index.verification.result import Verification
from ffmem.index.verification.sample import SampleTally
from ffmem.models.plain_call import plain_coefficients, plain_input
from ffmem.models.sentences_to_try import Sentence
from ffmem.models.threads import torch_threads
from ffmem.models.transformer import Transformer
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index

ROUNDING = 1e-4
"""Largest difference between stored and recomputed coefficients, as a share of the cell's largest."""
_ROUNDING_ELSEWHERE = TOLERANCE | {"float32": ROUNDING}
"""The same where products are rounded otherwise, as a share of the layer's largest."""
_MOST_FELL = 0.01
"""Share of triggers that rounding may take below a threshold of a dictionary, or out of its k largest."""
_BATCH_TOKENS = 1024
"""Tokens of a batch, padding included, where it does not have the shape that it had in the build."""
_N_ALONE = 6
"""Sentences that are run by the model's own plain call, alone."""
_MAX_ALONE = 256
"""Tokens of such a sentence, where shorter ones are there."""


def check_against_model(
    index: Index,
    verification: Verification,
    model: str | None,
    n_batches: int,
    seed: int,
    *,
    threads: int | None,
    device: str | None,
    trust_remote_code: bool,
) -> Verification:
    """Recompute whole batches: each stored trigger in them, and that no better one was left out; see `verify_index`."""
    options, counts = index.manifest.options, index.manifest.counts
    threads = options.threads if threads is None else threads
    with torch_threads(threads):
        loaded = load_indexed_model(index, model, device, trust_remote_code=trust_remote_code, proved=False)
        same_device = loaded.device.type == torch.device(options.device).type and _has_room(index)
        # first, so that the model runs below as it must be run
        may_be_pieces, tokens = may_have_pieces(counts.n_windows, options), read_tokens(StorePaths(index.folder).index)
        longest = int(np.diff(tokens.sentence_start.astype(np.int64)).max())
        certificate = certify(loaded, head_of(index.text, may_be_pieces), tokens, options, longest)
        text = ShardText(tokens, loaded, options, str(loaded.device))
        all_shards = plan_shards(index.text.sentence_start, counts.n_sentences_by_corpus, options.shard_tokens)
        shards, _ = split_off(all_shards, options.exclude_shards)
        tally, of_sample = _check_batches(index, text, shards, n_batches, seed, same_device)
        drawn_alone = _sentences_to_run_alone(index, shards, seed)
        rows = {one: (index.text.sentence(one).text, tokens.ids(one)) for one in drawn_alone}
        alone = _check_alone(
            index, loaded, text, dict(zip(rows, sentences_of(loaded, rows, may_be_pieces), strict=True))
        )
    promise = index.manifest.same_bytes
    like_the_build = same_device and promise.processor == processor() and threads == options.threads
    problems = [
        *tally.problems,
        *_of_all_triggers(tally, same_bytes=promise.holds and like_the_build),
        *(of_sample.finish() if of_sample is not None else ()),
        *(f"{problem} (run alone, by the model's own call)" for problem in alone.problems),
    ]
    return replace(
        verification,
        n_triggers=tally.n_triggers,
        n_comparisons=tally.n_comparisons,
        n_sampled=0 if of_sample is None else of_sample.n_positions,
        largest_error=tally.largest_error,
        same_bytes=tally.same_bytes,
        n_alone=len(drawn_alone),
        largest_error_alone=alone.largest_error,
        identities=certificate["errors"],
        problems=tuple(problems),
    )


def _check_batches(
    index: Index, text: ShardText, shards: Sequence[Shard], n_batches: int, seed: int, same_device: bool
) -> "tuple[_Tally, SampleTally | None]":
    """Hold what is stored of batches, drawn with the seed, to what the model gives: triggers, and samples if there are any."""
    options = index.manifest.options
    rounding, floor = (ROUNDING, 0.0) if same_device else (_ROUNDING_ELSEWHERE[options.dtype], 0.5)
    # where numbers agree to rounding only, a batch may be of any size, and those of a GPU are large
    batch_tokens = options.batch_tokens if same_device else min(options.batch_tokens, _BATCH_TOKENS)
    batches = [batch for shard in shards for batch in text.batches(shard, batch_tokens)]
    drawn = np.random.default_rng(seed).choice(len(batches), size=min(n_batches, len(batches)), replace=False)
    drawn_ids = np.array([one for number in drawn.tolist() for one in batches[number].sentence_ids], dtype=np.int64)
    tally = _Tally(index, rounding, floor, drawn_ids)
    of_sample = SampleTally(index, rounding, floor, drawn_ids) if options.sample else None
    for number in sorted(drawn.tolist()):
        batch = batches[number]
        gates: Iterable[list[np.ndarray]] = text.open_gates(batch) if options.quadrants else repeat([])
        for sentence_id, layers, of_layers in zip(
            batch.sentence_ids, text.coefficients(batch), gates, strict=options.quadrants
        ):
            skip, stored = text.first_competing(sentence_id), _stored(index, layers)
            tally.check(sentence_id, stored, skip, _stored(index, of_layers))
            if of_sample is not None:
                of_sample.check(sentence_id, stored, skip)
    return tally, of_sample


def _check_alone(index: Index, model: Transformer, text: ShardText, sentences: Mapping[int, Sentence]) -> "_Tally":
    """Hold what is stored of sentences to the model's own plain call on each alone."""
    options = index.manifest.options
    # products of another shape are rounded otherwise, by a share of the layer's largest
    tally = _Tally(index, _ROUNDING_ELSEWHERE[options.dtype], floor=0.5)
    for sentence_id, one in sentences.items():
        given = plain_input(model, one.text, options.bos, one.token_ids, one.is_piece)
        if given is not None:
            layers = [m[given.own_slice].cpu().numpy() for m in plain_coefficients(model, given)]
            tally.check(sentence_id, _stored(index, layers), text.first_competing(sentence_id))
    return tally


def _of_all_triggers(tally: "_Tally", same_bytes: bool) -> Iterator[str]:
    """What is wrong with no single trigger.

    Args:
        tally: of batches.
        same_bytes: whether the last bits are promised to be the same here.
    """
    if same_bytes and not tally.same_bytes:
        yield (
            "recomputed coefficients differ in their last bits, although this processor and one thread built the index: "
            "another torch, or a damaged file"
        )
    if tally.n_fell > 1 + _MOST_FELL * tally.n_triggers:
        yield f"{tally.n_fell:,} of {tally.n_triggers:,} triggers, all of dictionaries, have coefficients of 0 where they stand"


def _has_room(index: Index) -> bool:
    """Whether the coefficients of a batch of the build, all of which come to the host, fit into half of its memory."""
    free = free_memory()
    return free is None or 4 * index.manifest.options.batch_tokens * index.cells.whole.n_cells < free / 2


def _sentences_to_run_alone(index: Index, shards: Sequence[Shard], seed: int) -> list[int]:
    """Indexed sentences drawn at random, of those that are not long."""
    ids = np.concatenate([np.arange(shard.first_sentence, shard.end_sentence) for shard in shards])
    lengths = np.diff(index.text.sentence_start.astype(np.int64))[ids]
    short = ids[lengths <= max(_MAX_ALONE, int(lengths.min()))]
    drawn = np.random.default_rng(seed).choice(short, size=min(_N_ALONE, len(short)), replace=False)
    return sorted(drawn.tolist())


def _stored(index: Index, layers: list[np.ndarray]) -> list[np.ndarray]:
    """Of what all cells of the model have, (own tokens, cells) for each layer, what those of an index have."""
    if index.cells.is_whole or not layers:
        return layers
    places = [index.cells.whole_place(i) for i in range(index.n_layers)]  # ascending: dictionaries stand last
    return [
        layers[place][:, one.whole_rows]
        for place, one in zip(places, index.cells.layers, strict=True)
        if place < len(layers)
    ]


@dataclass(frozen=True)
class _List:
    """One of the lists that each cell of a layer has, and what competes for it in one sentence; as magnitudes."""

    fresh: np.ndarray
    """(own tokens, cells) What the model gives."""
    last: np.ndarray
    """(cells,) The last coefficient that is stored."""
    cells: np.ndarray
    """(triggers,) The cells of stored triggers that lie in the sentence."""
    positions: np.ndarray
    """Their positions there."""
    old: np.ndarray
    """Their stored coefficients."""


def _lists(
    index: Index, layer: int, first: int, fresh: np.ndarray, quadrants: tuple[DrawnSlots, np.ndarray] | None = None
) -> Iterator[_List]:
    """The lists of a layer, for the sentence that begins with a token index; those by quadrant with where gates are open."""
    arrays, end = index.layer(layer), first + len(fresh)
    slots = np.sort(index.slots_within(layer, first, end)).astype(np.int64)
    cells, rest = np.divmod(slots, index.n_signs * index.top)
    positions = arrays.trigger_token.reshape(-1)[slots].astype(np.int64) - first
    coefficients = arrays.trigger_coefficient.reshape(-1)[slots]
    for number, sign in enumerate(np.array([1, -1], dtype=np.float32)[: index.n_signs]):
        own = rest // index.top == number
        last = arrays.trigger_coefficient[:, number, -1] * sign
        yield _List(fresh * sign, last, cells[own], positions[own], coefficients[own] * sign)
    if quadrants is not None:
        in_quadrants, open_gates = quadrants
        tokens, stored = arrays.quadrant_token, arrays.quadrant_coefficient
        rows, numbers, ranks = np.unravel_index(in_quadrants.within(layer, first, end), tokens.shape)
        places, old = tokens[rows, numbers, ranks].astype(np.int64) - first, np.abs(stored[rows, numbers, ranks])
        for number, part in enumerate(magnitudes(torch.from_numpy(fresh), torch.from_numpy(open_gates))):
            own, last = numbers == number, np.abs(stored[:, number, -1])
            yield _List(part.numpy(), last, rows[own], places[own], old[own])


class _Tally:
    """Compares recomputed sentences with the stored lists.

    Args:
        index: whose lists they are.
        limit: largest error that counts as rounding, as a share of the cell's largest coefficient.
        floor: as a share of the largest of the layer, below which no cell's largest is taken to be.
        drawn: the sentences that will be checked with their gates.
    """

    def __init__(
        self, index: Index, limit: float = ROUNDING, floor: float = 0.0, drawn: Sequence[int] | np.ndarray = ()
    ) -> None:
        self._index, self._limit, self._floor = index, limit, floor
        self._in_quadrants = DrawnSlots(index, "quadrant_token", np.asarray(drawn))
        self.n_triggers = self.n_comparisons = 0
        self.largest_error, self.same_bytes = 0.0, True
        self.problems: list[str] = []
        steps = {one.cells.name for one in index.manifest.dictionaries if one.activation != "relu"}
        self._steps = [cells.name in steps for cells in index.cells.layers]
        """Of each layer, whether rounding alone may take a coefficient to 0."""
        self.n_fell = 0
        """How many triggers of such layers it has taken there."""

    def check(
        self, sentence_id: int, layers: list[np.ndarray], skip: int, open_gates: Sequence[np.ndarray] = ()
    ) -> None:
        """Take the coefficients of one sentence, (own tokens, cells) for each layer; the first ``skip`` do not compete.

        Of an index with quadrants also where the gates are above 0, if its lists by quadrant are to be compared.
        """
        first, _ = self._index.text.sentence_range(sentence_id)
        for layer, coefficients in enumerate(layers):
            if len(coefficients) <= skip:
                continue
            arrays = self._index.layer(layer)
            scale = np.maximum(np.abs(arrays.minimum), np.abs(arrays.maximum))
            scale = np.maximum(scale, self._floor * scale.max(initial=0.0))
            quadrants = (self._in_quadrants, open_gates[layer]) if open_gates else None
            for one in _lists(self._index, layer, first, coefficients, quadrants):
                self._soundness(sentence_id, layer, one, scale)
                self._completeness(sentence_id, layer, one, skip, scale)

    def _soundness(self, sentence_id: int, layer: int, one: _List, scale: np.ndarray) -> None:
        """Each stored trigger in this sentence has the coefficient that the model gives."""
        cells, old = one.cells, one.old
        if len(cells) == 0:
            return
        fresh = one.fresh[one.positions, cells]
        error = np.abs(fresh - old) / scale[cells]
        if self._steps[layer]:
            self.n_fell += int((fresh == 0).sum())
            error[fresh == 0] = 0  # few; else `check_against_model` says so
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

    def _completeness(self, sentence_id: int, layer: int, one: _List, skip: int, scale: np.ndarray) -> None:
        """A sentence whose best coefficient clearly beats the last of a list stands in that list."""
        best = one.fresh[skip:].max(0)
        missing = (best > one.last + self._limit * scale) & (best > 0)
        missing[one.cells] = False
        self.n_comparisons += len(best)
        for row in np.flatnonzero(missing)[:1].tolist():
            cell = self._index.cells.cell_id(layer, row)
            self.problems.append(
                f"{cell}: sentence {sentence_id} reaches {best[row]:.6g} but is not among the triggers, "
                f"whose last has {one.last[row]:.6g}"
            )
