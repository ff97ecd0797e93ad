"""What a cell's coefficient loses when its trigger is changed a little: Geva et al. 2021, Figure 3.

No code was published for it. Decided here: a prefix of one token (or word) is passed over; the random token is one of the
interior where there is an interior; BOS is never removed; of gated cells both signs are drawn from.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.prefixes import passes
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.models.transformer import Transformer
from ffmem.options import Bos
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index
from ffmem.store.text import SentenceRow

Edit = Literal["first", "last", "random", "first word", "last word", "random word", "shuffled"]
EDITS: tuple[Edit, ...] = get_args(Edit)
"""Removed: the first, last or a random token, or word; "shuffled": all but the last token in another order."""


@dataclass(frozen=True)
class Unit:
    """A cell with one sign of its coefficient, and the slots of its triggers that are looked at."""

    cell: CellId
    row: int
    axis: int
    """0: triggers with coefficients above 0; 1: below."""
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Modifications:
    """Relative changes of coefficients in one layer, trigger by trigger."""

    layer: int
    """Place of the layer."""
    unit: Int64[np.ndarray, " triggers"]
    """Number of the unit of each trigger."""
    document: Int64[np.ndarray, " triggers"]
    """That each is from."""
    change: Float[np.ndarray, "triggers edits"]
    """(m' - m) / m by each of `EDITS`; -1 or more for cells that cannot be below 0. NaN where a trigger is too short for it."""
    largest_error: float
    """Of m computed from the prefix alone against the index's, relative: 0 but for rounding."""


def sample_units(index: Index, layer: int, n_units: int, n_triggers: int, *, seed: int = 0) -> list[Unit]:
    """Random units of a layer with their first triggers.

    Args:
        index: a finished index.
        layer: place of the layer.
        n_units: how many; all there are, if there are not as many that ever fired.
        n_triggers: of each, the strongest.
        seed: of the draw.
    """
    tokens = index.layer(layer).trigger_token
    rows, axes = np.nonzero(tokens[:, :, 0] != NO_TOKEN)
    rng = np.random.default_rng([seed, layer])
    drawn = np.sort(rng.choice(len(rows), min(n_units, len(rows)), replace=False))
    n_of = (tokens[:, :, :n_triggers] != NO_TOKEN).sum(-1)
    return [
        Unit(index.cells.cell_id(layer, row), row, axis, tuple(range(int(n_of[row, axis]))))
        for row, axis in zip(rows[drawn].tolist(), axes[drawn].tolist(), strict=True)
    ]


@dataclass(frozen=True)
class _Probe:
    """A coefficient that is asked for: of a cell, at the last token of a sequence."""

    trigger: int
    edit: int
    """Number in EDITS; -1: the prefix as it is."""
    row: int


def modify(
    index: Index,
    model: Transformer,
    layer: int,
    units: list[Unit],
    *,
    bos: Bos,
    seed: int = 0,
    on_pass: Callable[[int], None] = lambda _: None,
) -> Modifications:
    """Change the triggers of some cells of a layer, and see what becomes of their coefficients.

    Args:
        index: a finished index.
        model: its model.
        layer: place of the layer.
        units: which cells and triggers: see `sample_units`.
        bos: special tokens, as in the index.
        seed: of random tokens and orders. They are the same for all cells with the same trigger.
        on_pass: called with the tokens of each pass.

    Raises:
        InputError: the model is not causal, so that a coefficient belongs to a whole sentence and not to a prefix; the
            index does not have all cells of the model.

    Cost: for each different prefix some five passes of its length, up to this layer only.
    """
    index.check_whole("the study of modified triggers")
    if not model.facts.predicts_next_token:
        raise InputError(
            f"{model.facts.name} is not a causal language model: a cell fires on a sentence, not on a prefix",
            "Expected a model whose states depend only on what comes before them",
            "Leave this analysis out for this model",
        )
    sequences: dict[tuple[int, ...], list[_Probe]] = {}
    stored: list[float] = []
    origin: list[tuple[int, int]] = []
    arrays = index.layer(layer)
    for number, unit in enumerate(units):
        for rank in unit.ranks:
            sentence_id, position = index.text.locate(int(arrays.trigger_token[unit.row, unit.axis, rank]))
            sentence = index.text.sentence(sentence_id)
            trigger = len(stored)
            stored.append(float(arrays.trigger_coefficient[unit.row, unit.axis, rank]))
            origin.append((number, sentence.document_id))
            prefix = tuple(sentence.token_ids[: position + 1].tolist())
            sequences.setdefault(prefix, []).append(_Probe(trigger, -1, unit.row))
            rng = np.random.default_rng([seed, sentence_id, position])
            for edit, changed in _edits(prefix, words_of(sentence)[: position + 1], rng):
                sequences.setdefault(changed, []).append(_Probe(trigger, EDITS.index(edit), unit.row))
    return _measured(model, layer, sequences, np.array(stored), np.array(origin, np.int64).reshape(-1, 2), bos, on_pass)


def _measured(
    model: Transformer,
    layer: int,
    sequences: dict[tuple[int, ...], list[_Probe]],
    stored: Float[np.ndarray, " triggers"],
    origin: Int64[np.ndarray, "triggers 2"],
    bos: Bos,
    on_pass: Callable[[int], None],
) -> Modifications:
    whole, changed = np.full(len(stored), np.nan), np.full((len(stored), len(EDITS)), np.nan)
    for probes, values in zip(sequences.values(), _at_the_end(model, layer, sequences, bos, on_pass), strict=True):
        for probe, value in zip(probes, values, strict=True):
            if probe.edit < 0:
                whole[probe.trigger] = value
            else:
                changed[probe.trigger, probe.edit] = value
    return Modifications(
        layer=layer,
        unit=origin[:, 0],
        document=origin[:, 1],
        change=(changed - whole[:, None]) / whole[:, None],
        largest_error=float(np.abs(whole / stored - 1).max(initial=0)),
    )


def words_of(sentence: SentenceRow) -> list[int]:
    """The number of the word that each token belongs to; a token that is only white space belongs to the next word."""
    data = sentence.text.encode()
    starts = [match.start() for match in re.finditer(rb"\S+", data)] or [0]
    ends = sentence.token_ends.astype(np.int64)
    # the first byte of a token that is no white space
    inside = [
        start + len(data[start:end]) - len(data[start:end].lstrip())
        for start, end in zip(sentence.token_starts.tolist(), ends.tolist(), strict=True)
    ]
    words: list[int] = np.clip(np.searchsorted(starts, inside, side="right") - 1, 0, None).tolist()
    return words


def _edits(
    prefix: tuple[int, ...], words: list[int], rng: np.random.Generator
) -> Iterator[tuple[Edit, tuple[int, ...]]]:
    """What each edit makes of a prefix, where it can be made."""
    n = len(prefix)
    drawn, order = _random_of(n, rng), rng.permutation(max(n - 1, 1)).tolist()
    if n > 1:
        yield "first", prefix[1:]
        yield "last", prefix[:-1]
        yield "random", prefix[:drawn] + prefix[drawn + 1 :]
    distinct = sorted(set(words))
    drawn_word = _random_of(len(distinct), rng)
    if len(distinct) > 1:
        removed: tuple[tuple[Edit, int], ...] = (("first word", 0), ("last word", -1), ("random word", drawn_word))
        for edit, word in removed:
            yield edit, tuple(token for token, of in zip(prefix, words, strict=True) if of != distinct[word])
    if n > 2:
        yield "shuffled", (*(prefix[i] for i in order), prefix[-1])


def _random_of(n: int, rng: np.random.Generator) -> int:
    """One of n places, not the first or last where there are others."""
    return int(rng.integers(1, n - 1)) if n > 2 else int(rng.integers(0, max(n, 1)))


class _SeenEnough(Exception):  # noqa: N818 (nothing has gone wrong)
    """The layer has been reached: what follows in this pass is not needed."""


def _carriers(owned: list[np.ndarray]) -> dict[int, list[int]]:
    """Sequences that another one begins with ride with it: a causal model has their states on the way to its own."""
    carried: dict[int, list[int]] = {}
    carrier = -1
    for number in sorted(range(len(owned)), key=lambda i: owned[i].tolist(), reverse=True):
        one = owned[number]
        if carrier < 0 or not np.array_equal(owned[carrier][: len(one)], one):
            carrier = number
        carried.setdefault(carrier, []).append(number)
    return carried


def _at_the_end(
    model: Transformer,
    layer: int,
    sequences: dict[tuple[int, ...], list[_Probe]],
    bos: Bos,
    on_pass: Callable[[int], None],
) -> list[list[float]]:
    """For each sequence, the coefficients of its probes' cells at its last token."""
    owned = [np.array(one, dtype=np.int64) for one in sequences]
    wanted = [[probe.row for probe in probes] for probes in sequences.values()]
    carried = _carriers(owned)
    carriers = list(carried)
    found: list[list[float]] = [[] for _ in owned]
    device = str(model.values(layer).device)
    for one in passes(model, [owned[number] for number in carriers], bos, device=device):

        def keep(place: int, m: Float[Tensor, "batch positions cells"]) -> None:
            if place == layer:
                for row, at in enumerate(one.sentences):  # noqa: B023 (called within this turn)
                    for number in carried[carriers[at]]:
                        end = one.first + len(owned[number]) - 1  # noqa: B023 (as above)
                        found[number] = m[row, end, wanted[number]].float().tolist()
                raise _SeenEnough

        try:
            with torch.inference_mode(), model.watch_coefficients(keep):
                model.forward(one.token_ids, one.attention_mask)
        except _SeenEnough:
            pass
        on_pass(one.token_ids.numel())
    return found
