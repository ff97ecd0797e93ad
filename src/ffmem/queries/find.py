"""Cells by what triggers them and what they promote, both halves joined."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, get_args

import numpy as np

from ffmem.cell import Name, Trigger
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.markup import captioned
from ffmem.queries.compiled import is_compiled
from ffmem.queries.documents import metadata_of, topic_meta
from ffmem.queries.marks import Marks, OfTriggers, Within, marks_of, prefix_only
from ffmem.queries.matches import (
    Asked,
    FindSort,
    Masks,
    Topic,
    count,
    first_ones,
    matching,
    matching_ranks,
)
from ffmem.queries.named import NOT_NAMED, NameQuestion, order_by_name, ranks_by_name
from ffmem.queries.names import places, token_id
from ffmem.queries.search import TIME_LIMIT_S, Spans
from ffmem.queries.text_places import ends_in, match_spans
from ffmem.queries.wanted import parse_words
from ffmem.store.reader import Index

_THREADS = min(4, os.cpu_count() or 1)
"""Layers of a large index that are looked at side by side: nearly all of the time passes in compiled loops."""
_AT_ONCE = 500
"""Rows whose names are looked up together."""


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
    name: Name | None = None
    """What it is called."""
    n_all_triggers: int = 0
    """Triggers of this sign, of which `n_triggers` match; 0 if nothing was asked of triggers."""
    lift: float | None = None
    """How many times the rate of all indexed positions its triggers match; None if nothing was asked of triggers."""
    matches: tuple[Spans, ...] = ()
    """For each of the triggers shown, where in its text the words are: first character and the one after the last."""


@dataclass(frozen=True)
class Found(Record):
    """The cells that meet every condition."""

    rows: tuple[FoundCell, ...]
    n_found: int
    """Cells that do, those beyond the limit included; both signs of a gated cell count."""
    note: str
    """What was left out, and how to get it; empty if nothing was."""
    base_rate: float | None = None
    """The share of all indexed positions that match what was asked of triggers; None if nothing was."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [
            (str(row.cell), row.name, f"{row.active_fraction:.2%}", str(row.rank), str(row.n_triggers), first)
            for row in self.rows
            for first in ["".join(row.triggers[0].marked()) if row.triggers else ""]
        ]
        return captioned(
            f"{self.n_found:,} cells. {self.note}", ("cell", "name", "active", "rank", "triggers", "first"), rows
        )


@dataclass(frozen=True)
class Conditions:
    """What a cell must meet; what is left out asks nothing. See `find` for each."""

    trigger: str | None = None
    fires_on: str | None = None
    next_token: str | None = None
    promotes: str | None = None
    layer: str | int | None = None
    min_active: float | None = None
    max_active: float | None = None
    among: Masks | None = None
    names: NameQuestion | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    topic: str = ""
    within: Within = "auto"

    @property
    def of_triggers(self) -> OfTriggers:
        """Those that one and the same trigger must meet."""
        return OfTriggers(self.trigger, self.fires_on, self.next_token, self.meta, self.within)

    @property
    def only_names(self) -> bool:
        """Whether nothing else is asked."""
        others = (self.promotes, self.layer, self.min_active, self.max_active, self.among)
        return self.of_triggers.empty and not self.topic and all(one is None for one in others)

    @property
    def empty(self) -> bool:
        """Whether nothing is asked at all."""
        return self.only_names and (self.names is None or self.names.empty)


class Matches:
    """Every cell that meets some conditions, in order; what is known of each is read when it is asked for."""

    def __init__(
        self, index: Index, found: np.ndarray, marks: Marks | None, conditions: Conditions, n_found: int, note: str
    ) -> None:
        self.n_found, self.note = n_found, note
        self._index, self._found, self._marks, self._conditions = index, found, marks, conditions

    @property
    def base_rate(self) -> float | None:
        """See `Found`."""
        return None if self._marks is None else self._marks.base_rate

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The place of the layer, and the row, of every cell that was kept; a cell with two signs that match stands twice."""
        return self._found["place"], self._found["row"]

    def rows(self, start: int = 0, stop: int | None = None, n_triggers: int = 3) -> Iterator[FoundCell]:
        """The cells from ``start`` up to ``stop``, with at most so many triggers of each.

        Cost: memory for a few hundred of them.
        """
        left = iter(self._found[max(start, 0) : stop])
        while some := list(islice(left, _AT_ONCE)):
            yield from self._index.names.on(self._row(one, n_triggers) for one in some)

    def _row(self, one: Any, n_triggers: int) -> FoundCell:
        index, sign = self._index, -1 if one["number"] else 1
        place, row, number = int(one["place"]), int(one["row"]), int(one["number"])
        arrays, with_rank = index.layer(place), self._conditions.promotes is not None
        tokens, coefficients = arrays.trigger_token[row, number], arrays.trigger_coefficient[row, number]
        ranks = matching_ranks(index, one, self._marks, n_triggers)
        triggers = tuple(index.trigger(sign, rank, float(coefficients[rank]), int(tokens[rank])) for rank in ranks)
        base = self.base_rate
        return FoundCell(
            cell=index.cells.cell_id(place, row),
            sign=sign,
            active_fraction=float(one["active"]),
            rank=int(one["rank"]) if with_rank else None,
            logit=float(one["logit"]) if with_rank else None,
            n_triggers=int(one["n_triggers"]),
            triggers=triggers,
            n_all_triggers=int(one["n_all"]),
            lift=int(one["n_triggers"]) / max(int(one["n_all"]), 1) / base if base else None,
            matches=tuple(map(self._spans, triggers)),
        )

    def _spans(self, trigger: Trigger) -> Spans:
        """Where the words are, as far as they count."""
        asked = self._conditions.trigger
        if asked is None:
            return ()
        end = len(trigger.text)
        if prefix_only(self._index, self._conditions.within):
            end = len(trigger.text.encode()[: trigger.span[1]].decode(errors="ignore"))
        return match_spans(asked, trigger.text, end)


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
    names: NameQuestion | None = None,
    meta: Mapping[str, str] | None = None,
    topic: str = "",
    within: Within = "auto",
    sort: FindSort = "auto",
    start: int = 0,
    limit: int = 20,
    n_triggers: int = 3,
    time_limit_s: float = TIME_LIMIT_S,
) -> Found:
    """Cells that meet every condition given; those on triggers must be met by one and the same trigger.

    Args:
        index: an opened index.
        trigger: words that the trigger has, or ``/a regular expression/``.
        fires_on: the token that it fires on.
        next_token: the token that follows.
        promotes: a token among those that the cell promotes (with negative coefficients: suppresses).
        layer: a layer, or a range of them such as ``10:``.
        min_active: least active fraction.
        max_active: largest active fraction.
        among: for each layer, by its place, whether each of its cells may be found at all.
        names: what the cell's name must be, with the sign that it speaks of.
        meta: values that the metadata of the trigger's document has, by field.
        topic: what the cell is about: its name claims this topic, or its triggers come from documents about it more often
            than chance would have it (see `queries.lift.is_more_often`).
        within: "prefix": the words stand up to the firing token; "sentence": anywhere in the sentence; "auto": the former for
            a causal model, which has read no further.
        sort: "lift": by how much more often triggers match than all positions do, with `queries.lift.PRIOR` triggers at the
            rate of all added; "promotes": by rank of the promoted token, then score; "triggers": most matching triggers first;
            "coefficient": by the largest coefficient of a matching trigger as a share of the cell's largest; "active":
            largest active fraction first; "name": the surest name first, cells without one last; "index": as they stand;
            "auto": by promoted token, lift or name, the first of these that was asked about, else as they stand.
        start: so many cells are passed over first.
        limit: at most this many cells.
        n_triggers: at most this many triggers of each.
        time_limit_s: seconds for which the text itself may be searched; then the note says how far it came.

    Raises:
        InputError: no condition, no such layer, field or value, or text that is not one token.
    """
    conditions = Conditions(
        trigger, fires_on, next_token, promotes, layer, min_active, max_active, among, names, meta or {}, topic, within
    )
    start, limit = max(start, 0), max(limit, 0)
    found = match_cells(index, conditions, sort=sort, most=start + limit, time_limit_s=time_limit_s)
    rows = tuple(found.rows(start, start + limit, n_triggers))
    return Found(rows, found.n_found, found.note, found.base_rate)


def match_cells(
    index: Index,
    conditions: Conditions,
    *,
    sort: FindSort = "auto",
    most: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> Matches:
    """Every cell that `find` would find, as a whole.

    Args:
        index: an opened index.
        conditions: what they must meet.
        sort: see `find`.
        most: only so many will be read; None: any number.
        time_limit_s: see `find`.

    Raises:
        InputError: as `find`.

    Cost: 50 bytes for each that is found.
    """
    if sort not in get_args(FindSort):
        raise InputError(f"--sort is {sort!r}", f"Expected one of: {', '.join(get_args(FindSort))}", "Leave --sort out")
    if conditions.within not in get_args(Within):
        raise InputError(
            f"--within is {conditions.within!r}",
            f"Expected one of: {', '.join(get_args(Within))}",
            "Leave --within out",
        )
    if conditions.empty:
        raise InputError(
            "no condition is given to find cells by",
            "Expected one of --trigger, --fires-on, --next, --promotes, --layer, --min-active, --max-active, --named, "
            "--topic, --meta, --source, --grade",
            "For a table of all cells: ffmem cells DIR",
        )
    names = None if conditions.names is None or conditions.names.empty else conditions.names
    marks = marks_of(index, conditions.of_triggers, time_limit_s)
    topic, told = _topic(index, conditions.topic, time_limit_s)
    asked = Asked(
        marks,
        None if conditions.promotes is None else token_id(index, conditions.promotes),
        (conditions.min_active or 0.0, 1.0 if conditions.max_active is None else conditions.max_active),
        conditions.among,
        topic=topic,
    )
    by = _sort(asked, sort, names is not None)
    only_names = by == "name" and index.cells.is_whole and conditions.only_names
    ranks, n_named = (None, 0) if names is None else ranks_by_name(index, names, most if only_names else None)
    order = order_by_name(index) if by == "name" and names is None else None
    asked = Asked(asked.marks, asked.promoted, asked.active_range, asked.among, ranks, topic, order)
    units = [(place, number) for place in places(index, conditions.layer) for number in range(index.n_signs)]
    with ThreadPoolExecutor(_THREADS if is_compiled(index) else 1) as pool:
        parts = list(pool.map(lambda one: matching(index, one[0], one[1], asked), units))
    found = np.concatenate(parts)
    ordered = first_ones(found, by, most)
    note = " ".join(one for one in (marks.note if marks else "", told) if one)
    return Matches(index, ordered, asked.shown, conditions, n_named if only_names else len(found), note)


def _sort(asked: Asked, sort: FindSort, by_name: bool) -> FindSort:
    if sort != "auto":
        return sort
    if asked.promoted is not None:
        return "promotes"
    return "lift" if asked.shown is not None else "name" if by_name else "index"


def _topic(index: Index, topic: str, time_limit_s: float) -> tuple[Topic | None, str]:
    """What makes a cell one of a topic, and what is to be said of it.

    Raises:
        InputError: neither a name claims such a topic, nor is any document about it.
    """
    if not topic:
        return None, ""
    ranks, n_claimed = ranks_by_name(index, NameQuestion(topic=topic))
    claimed = [of_layer != NOT_NAMED for of_layer in ranks]
    meta = topic_meta(index, topic)
    if meta is None and not n_claimed:
        found = metadata_of(index)
        if found.topic_field:
            found.having(found.topic_field, topic)  # says which there are; part of a value is no topic
        raise InputError(
            f"no document is about {topic[:100]!r}, and no name claims it",
            f"Expected a topic: a value of the documents' field {found.topic_field}"
            if found.topic_field
            else "Expected documents with a topic (a field topic, label or category of their metadata), or names that claim "
            "one; these have neither",
            "Write the whole name of a topic, or search for words",
        )
    if meta is None:
        return Topic(None, claimed), f"No document is about {topic}: these are the cells whose names claim it."
    return Topic(marks_of(index, OfTriggers(meta=meta), time_limit_s), claimed), ""


def in_all(masks: Sequence[Masks]) -> Masks:
    """The cells that all of some masks have."""
    return [np.logical_and.reduce(of_layer) for of_layer in zip(*masks, strict=True)]


def read_ahead(index: Index) -> None:
    """Read once what questions look at, so that the first one need not wait for the disk."""
    if index.text.vocabulary:
        index.text.matching('"the"', 1)
    for place in range(index.n_layers):
        arrays = index.layer(place)
        for name in ("n_active", "promoted_ids", "trigger_token", "trigger_coefficient", "slot_by_token"):
            np.asarray(getattr(arrays, name)).max(initial=0)
    index.text.document_of(np.zeros(0, dtype=np.int64))  # which reads where documents begin
    metadata_of(index)
    if is_compiled(index):
        nothing = Marks(np.zeros(1, dtype=np.uint8), 0, None, 0.0)
        count(index, 0, 0, nothing, np.arange(1))
        ends_in(index, parse_words("the"), np.arange(min(1, index.text.n_all_sentences)))
