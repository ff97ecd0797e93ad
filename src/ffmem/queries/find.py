"""Cells by what triggers them and what they promote, both halves joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ffmem.cell import Trigger
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.markup import captioned
from ffmem.queries.inverted import triggers_within
from ffmem.queries.names import places, token_id
from ffmem.queries.search import TIME_LIMIT_S, matching_sentences
from ffmem.store.reader import Index

FindSort = Literal["auto", "promotes", "triggers", "coefficient", "active", "index"]


@dataclass(frozen=True)
class FoundCell(Record):
    """A cell that meets every condition, with one of its signs."""

    cell: CellId
    sign: int
    """1: the list of positive coefficients and the promoted tokens; -1: negative ones and the suppressed tokens, which
    a negative coefficient promotes."""
    active_fraction: float
    rank: int | None
    """Of the promoted token in the cell's list, from 0; None if no token was asked for."""
    logit: float | None
    """Its score."""
    n_triggers: int
    """Triggers that match; 0 if nothing was asked of triggers."""
    triggers: tuple[Trigger, ...]
    """The first of them."""


@dataclass(frozen=True)
class Found(Record):
    """The cells that meet every condition."""

    rows: tuple[FoundCell, ...]
    n_found: int
    """Cells that do, those beyond the limit included; both signs of a gated cell count."""
    note: str
    """What was left out, and how to get it; empty if nothing was."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [
            (str(row.cell), f"{row.active_fraction:.2%}", str(row.rank), str(row.n_triggers), first)
            for row in self.rows
            for first in ["".join(row.triggers[0].marked()) if row.triggers else ""]
        ]
        return captioned(f"{self.n_found:,} cells. {self.note}", ("cell", "active", "rank", "triggers", "first"), rows)


@dataclass(frozen=True)
class _Marks:
    """Token indices at which a trigger would match."""

    mask: np.ndarray
    """Whether each is one, and one False more, for empty slots."""
    firsts: np.ndarray
    """First of each run of them."""
    ends: np.ndarray
    """The one after its last."""


Masks = Sequence[np.ndarray]
"""For each layer, by its place, whether each of its cells is meant."""


def in_all(masks: Sequence[Masks]) -> Masks:
    """The cells that all of some masks have."""
    return [np.logical_and.reduce(of_layer) for of_layer in zip(*masks, strict=True)]


def read_ahead(index: Index) -> None:
    """Read once what questions look at, so that the first one need not wait for the disk."""
    if index.text.vocabulary:
        index.text.matching('"the"', 1)
    for place in range(index.n_layers):
        arrays = index.layer(place)
        for name in ("n_active", "promoted_ids", "trigger_token", "slot_by_token"):
            np.asarray(getattr(arrays, name)).max(initial=0)


def find(
    index: Index,
    *,
    trigger: str | None = None,
    fires_on: str | None = None,
    next_token: str | None = None,
    promotes: str | None = None,
    layer: str | int | None = None,
    min_active: float | None = None,
    max_active: float | None = None,
    among: Masks | None = None,
    sort: FindSort = "auto",
    limit: int = 20,
    n_triggers: int = 3,
    time_limit_s: float = TIME_LIMIT_S,
) -> Found:
    """Cells that meet every condition given; those on triggers must be met by one and the same trigger.

    Args:
        index: an opened index.
        trigger: words that the trigger's sentence has, or ``/a regular expression/``.
        fires_on: the token that it fires on.
        next_token: the token that follows.
        promotes: a token among those that the cell promotes (with negative coefficients: suppresses).
        layer: a layer, or a range of them such as ``10:``.
        min_active: least active fraction.
        max_active: largest active fraction.
        among: for each layer, by its place, whether each of its cells may be found at all.
        sort: "promotes": by rank of the promoted token, then score; "triggers": most matching triggers first;
            "coefficient": by the largest coefficient of a matching trigger as a share of the cell's largest; "active":
            largest active fraction first; "index": as they stand; "auto": the first of these that was asked about.
        limit: at most this many cells.
        n_triggers: at most this many triggers of each.
        time_limit_s: seconds that a regular expression may take.

    Raises:
        InputError: no condition, no such layer, or text that is not one token.
    """
    if sort not in get_args(FindSort):
        raise InputError(f"--sort is {sort!r}", f"Expected one of: {', '.join(get_args(FindSort))}", "Leave --sort out")
    if all(one is None for one in (trigger, fires_on, next_token, promotes, min_active, max_active, among)):
        raise InputError(
            "no condition is given to find cells by",
            "Expected one of --trigger, --fires-on, --next, --promotes, --min-active, --max-active",
            "For a table of all cells: ffmem cells DIR",
        )
    marks, note = _marked_tokens(index, trigger, fires_on, next_token, time_limit_s)
    promoted = None if promotes is None else token_id(index, promotes)
    if sort == "auto":
        sort = "promotes" if promoted is not None else "triggers" if marks is not None else "index"
    least = 0.0 if min_active is None else min_active
    most = 1.0 if max_active is None else max_active
    parts = [
        _matching(index, (place, number), marks, promoted, (least, most), None if among is None else among[place])
        for place in places(index, layer)
        for number in range(index.n_signs)
    ]
    found = np.concatenate(parts)
    order = _order(found, sort)[: max(limit, 0)]
    rows = tuple(_row(index, found[i], marks, promoted is not None, n_triggers) for i in order)
    return Found(rows, len(found), note)


def _marked_tokens(
    index: Index, trigger: str | None, fires_on: str | None, next_token: str | None, time_limit_s: float
) -> tuple[_Marks | None, str]:
    """The token indices at which a trigger would match; None if nothing is asked."""
    if trigger is None and fires_on is None and next_token is None:
        return None, ""
    text, note = index.text, ""
    marks = np.ones(len(text.token_id) + 1, dtype=bool)
    marks[-1] = False
    if trigger is not None:
        ids, note = matching_sentences(index, trigger, time_limit_s)
        sentences = np.zeros(text.n_all_sentences, dtype=bool)
        sentences[ids] = True
        lengths: np.ndarray = np.diff(text.sentence_start.astype(np.int64))
        marks[:-1] = np.repeat(sentences, lengths)
    if fires_on is not None:
        marks[:-1] &= text.token_id == token_id(index, fires_on)
    if next_token is not None:
        marks[:-2] &= text.token_id[1:] == token_id(index, next_token)
        marks[text.sentence_start[1:].astype(np.int64) - 1] = False  # nothing follows the last token of a sentence
    changes = np.flatnonzero(marks[1:] != marks[:-1]) + 1
    if marks[0]:
        changes = np.concatenate(([0], changes))
    return _Marks(marks, changes[::2], changes[1::2]), note


_FEW = 2000
"""Runs up to which looking each up in the list of a layer is quicker than looking at every slot."""


def _is_one_of(numbers: np.ndarray, n: int) -> np.ndarray:
    found = np.zeros(n, dtype=bool)
    found[numbers] = True
    return found


_FOUND = np.dtype(
    [
        ("place", "i4"), ("row", "i4"), ("number", "i4"), ("active", "f8"), ("rank", "i4"), ("logit", "f4"),
        ("n_triggers", "i4"), ("share", "f4"),
    ]
)  # fmt: skip
"""``number``: of the sign, 0 or 1; ``share``: the largest coefficient of a matching trigger over the cell's largest."""


def _matching(
    index: Index,
    where: tuple[int, int],
    marks: _Marks | None,
    promoted: int | None,
    active_range: tuple[float, float],
    among: np.ndarray | None,
) -> np.ndarray:
    """The cells of one layer and sign that meet every condition."""
    place, number = where
    arrays = index.layer(place)
    n_tokens = np.repeat(arrays.counts[:, 0], index.cells.layers[place].group_size)
    active = arrays.n_active / np.maximum(n_tokens, 1)
    kept = (active >= active_range[0]) & (active <= active_range[1])
    if among is not None:
        kept &= among
    ranks = np.zeros(len(active), dtype=np.int32)
    if promoted is not None:
        ids = np.asarray(arrays.suppressed_ids if number else arrays.promoted_ids)
        having, at = np.divmod(np.flatnonzero(ids.reshape(-1) == promoted), ids.shape[1])
        ranks[having] = at
        kept &= _is_one_of(having, len(active))
    if marks is not None and len(marks.firsts) <= _FEW and promoted is None:
        _, having, _ = triggers_within(index, place, marks.firsts, marks.ends)
        kept &= _is_one_of(having, len(active))
    rows, matched = np.flatnonzero(kept), np.zeros((0, index.top), dtype=bool)
    if marks is not None:
        tokens = np.asarray(arrays.trigger_token)[:, number]
        # the index of an empty slot is larger than any, and clipped to the last mark
        matched = marks.mask.take(tokens if len(rows) == len(tokens) else tokens[rows], mode="clip")
        first = np.flatnonzero(matched.reshape(-1)) // index.top  # much faster than any(1)
        has_one = _is_one_of(first, len(rows))
        rows, matched = rows[has_one], matched[has_one]
    found = np.zeros(len(rows), dtype=_FOUND)
    found["place"], found["row"], found["number"], found["active"] = place, rows, number, active[rows]
    if promoted is not None:
        found["rank"] = ranks[rows]
        scores = arrays.suppressed_scores if number else arrays.promoted_scores
        found["logit"] = np.asarray(scores)[rows, ranks[rows]]
    if marks is not None:
        found["n_triggers"] = matched.sum(1)
        coefficients = np.abs(np.asarray(arrays.trigger_coefficient)[rows, number])
        found["share"] = (coefficients * matched).max(1) / coefficients[:, 0]
    return found


def _order(found: np.ndarray, sort: FindSort) -> np.ndarray:
    last = (found["number"], found["row"], found["place"])
    strength = found["logit"] * np.where(found["number"], -1, 1)
    keys: dict[str, tuple[np.ndarray, ...]] = {
        "promotes": (-strength, found["rank"]),
        "triggers": (-found["share"], -found["n_triggers"]),
        "coefficient": (-found["share"],),
        "active": (-found["active"],),
        "index": (),
    }
    return np.lexsort((*last, *keys[sort]))


def _row(index: Index, one: Any, marks: _Marks | None, with_rank: bool, n_triggers: int) -> FoundCell:
    place, row, number = int(one["place"]), int(one["row"]), int(one["number"])
    arrays, sign = index.layer(place), -1 if number else 1
    tokens, coefficients = arrays.trigger_token[row, number], arrays.trigger_coefficient[row, number]
    ranks = [] if marks is None else np.flatnonzero(marks.mask.take(tokens, mode="clip"))[:n_triggers].tolist()
    return FoundCell(
        cell=index.cells.cell_id(place, row),
        sign=sign,
        active_fraction=float(one["active"]),
        rank=int(one["rank"]) if with_rank else None,
        logit=float(one["logit"]) if with_rank else None,
        n_triggers=int(one["n_triggers"]),
        triggers=tuple(index.trigger(sign, rank, float(coefficients[rank]), int(tokens[rank])) for rank in ranks),
    )
