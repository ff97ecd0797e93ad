"""The cells that meet every condition, as an array of numbers: found layer by layer, put in order, read a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ffmem.queries.compiled import is_compiled
from ffmem.queries.inverted import triggers_within
from ffmem.queries.lift import is_more_often, lift
from ffmem.queries.marks import Marks
from ffmem.queries.named import NOT_NAMED
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

FindSort = Literal["auto", "lift", "promotes", "triggers", "coefficient", "active", "name", "index"]
Masks = Sequence[np.ndarray]
"""For each layer, by its place, whether each of its cells is meant."""
FOUND = np.dtype(
    [
        ("place", "i4"), ("row", "i4"), ("number", "i4"), ("active", "f8"), ("rank", "i4"), ("logit", "f4"),
        ("n_triggers", "i4"), ("n_all", "i4"), ("share", "f4"), ("lift", "f4"), ("name", "i8"),
    ]
)  # fmt: skip
"""``number``: of the sign, 0 or 1; ``share``: the largest coefficient of a matching trigger over the cell's largest;
``name``: rank of the name among those that match."""


@dataclass(frozen=True)
class Topic:
    """What makes a cell one of a topic: its name claims it, or its triggers are of documents about it more than all are."""

    marks: Marks | None
    """Positions of documents about it; None if there are none."""
    claimed: Sequence[np.ndarray]
    """For each layer, by its place, (cells, signs): whether the name claims it."""


@dataclass(frozen=True)
class Asked:
    """All conditions of a question, as arrays."""

    marks: Marks | None = None
    promoted: int | None = None
    active_range: tuple[float, float] = (0.0, 1.0)
    among: Masks | None = None
    names: Sequence[np.ndarray] | None = None
    """For each layer, by its place, (cells, signs): the rank of the name, or NOT_NAMED."""
    topic: Topic | None = None
    order: Sequence[np.ndarray] | None = None
    """As `names`, of what is found whatever it is called, where that decides the order."""

    @property
    def shown(self) -> Marks | None:
        """The triggers that are shown, and counted for the lift."""
        return self.marks if self.marks is not None or self.topic is None else self.topic.marks


def matching(index: Index, place: int, number: int, asked: Asked) -> np.ndarray:
    """The cells of one layer and sign that meet every condition, as `FOUND`."""
    arrays = index.layer(place)
    n_tokens = np.repeat(arrays.counts[:, 0], index.cells.layers[place].group_size)
    active = arrays.n_active / np.maximum(n_tokens, 1)
    low, high = asked.active_range
    kept = (active >= low) & (active <= high)
    if asked.among is not None:
        kept &= asked.among[place]
    named = None if asked.names is None else asked.names[place][:, number]
    if named is not None:
        kept &= named != NOT_NAMED
    ranks = np.zeros(len(active), dtype=np.int32)
    if asked.promoted is not None:
        ids = np.asarray(arrays.suppressed_ids if number else arrays.promoted_ids)
        having, at = np.divmod(np.flatnonzero(ids.reshape(-1) == asked.promoted), ids.shape[1])
        ranks[having] = at
        kept &= is_one_of(having, len(active))
    marks = asked.marks
    if marks is not None and marks.runs is not None and asked.promoted is None:
        # few of them: looking each up in the list of a layer is quicker than looking at every slot
        _, having, _ = triggers_within(index, place, *marks.runs)
        kept &= is_one_of(having, len(active))
    if asked.topic is not None:
        rows = np.flatnonzero(kept)
        kept[rows] = _about(index, place, number, asked.topic, rows)
    rows, counted = np.flatnonzero(kept), None
    if asked.shown is not None:
        counted = count(index, place, number, asked.shown, rows)
        if marks is not None:
            has_one = counted.matching > 0
            rows, counted = rows[has_one], counted.of(has_one)
    found = np.zeros(len(rows), dtype=FOUND)
    found["place"], found["row"], found["number"], found["active"] = place, rows, number, active[rows]
    if named is not None:
        found["name"] = named[rows]
    elif asked.order is not None:
        found["name"] = asked.order[place][rows, number]
    if asked.promoted is not None:
        found["rank"] = ranks[rows]
        scores = arrays.suppressed_scores if number else arrays.promoted_scores
        found["logit"] = np.asarray(scores)[rows, ranks[rows]]
    if counted is not None and asked.shown is not None:
        found["n_triggers"], found["n_all"], found["share"] = counted.matching, counted.all, counted.share
        found["lift"] = lift(counted.matching, counted.all, asked.shown.base_rate)
    return found


@dataclass(frozen=True)
class Counts:
    """What is counted of the triggers of some cells."""

    matching: np.ndarray
    """Those that match."""
    all: np.ndarray
    share: np.ndarray
    """The largest coefficient in size of one that matches, over the cell's largest."""

    def of(self, chosen: np.ndarray) -> "Counts":
        """Of some of these cells."""
        return Counts(self.matching[chosen], self.all[chosen], self.share[chosen])


def count(index: Index, place: int, number: int, marks: Marks, rows: np.ndarray) -> Counts:
    """Count the triggers of some cells of one layer and sign."""
    arrays = index.layer(place)
    tokens, coefficients = (
        np.asarray(arrays.trigger_token)[:, number],
        np.asarray(arrays.trigger_coefficient)[:, number],
    )
    if not is_compiled(index):
        matched = marks.has(tokens[rows])
        sizes = np.abs(coefficients[rows])
        strongest = (sizes * matched).max(1, initial=0) / np.where(sizes[:, 0] > 0, sizes[:, 0], 1)
        return Counts(matched.sum(1), (tokens[rows] != NO_TOKEN).sum(1), strongest)
    from ffmem.queries.match_kernel import count_matches  # takes longer than a whole question of a small index

    counts, share = np.empty((len(rows), 2), dtype=np.int32), np.empty(len(rows), dtype=np.float32)
    count_matches(tokens, coefficients, marks.bits, marks.some, marks.is_rare, marks.n, rows, counts, share)
    return Counts(counts[:, 0], counts[:, 1], share)


def _about(index: Index, place: int, number: int, topic: Topic, rows: np.ndarray) -> np.ndarray:
    """Which of some cells are about a topic."""
    claimed: np.ndarray = topic.claimed[place][rows, number]
    if topic.marks is None or not len(rows):
        return claimed
    counted = count(index, place, number, topic.marks, rows)
    # many cells share few pairs of numbers, and logarithms take long
    step = int(counted.all.max()) + 1
    keys = counted.all.astype(np.int64) * step + counted.matching
    more = np.zeros(step * step, dtype=bool)
    pairs = np.flatnonzero(np.bincount(keys, minlength=len(more)))
    more[pairs] = is_more_often(pairs % step, pairs // step, topic.marks.base_rate)
    about: np.ndarray = claimed | more[keys]
    return about


def first_ones(found: np.ndarray, sort: FindSort, most: int | None = None) -> np.ndarray:
    """The cells in the order in which they are shown, equal ones as they stand in the index; only the first, if so many do."""
    strength = found["logit"] * np.where(found["number"], -1, 1)
    keys: dict[str, tuple[np.ndarray, ...]] = {
        "lift": (-found["share"], -found["lift"]),
        "promotes": (-strength, found["rank"]),
        "triggers": (-found["share"], -found["n_triggers"]),
        "coefficient": (-found["share"],),
        "active": (-found["active"],),
        "name": (found["name"],),
        "index": (),
    }
    by = keys[sort]
    chosen = np.arange(len(found))
    if most is not None and by and 0 < most < len(found) // 4:  # sorting all of them takes longer than finding them
        least = np.partition(by[-1], most - 1)[most - 1]
        chosen = np.flatnonzero(by[-1] <= least)
    last = (found["number"][chosen], found["row"][chosen], found["place"][chosen])
    ordered: np.ndarray = found[chosen[np.lexsort((*last, *(one[chosen] for one in by)))[:most]]]
    return ordered


def is_one_of(numbers: np.ndarray, n: int) -> np.ndarray:
    """Which of the numbers below ``n`` are among these."""
    found = np.zeros(n, dtype=bool)
    found[numbers] = True
    return found


def matching_ranks(index: Index, one: Any, marks: Marks | None, limit: int) -> list[int]:
    """The first triggers of one found cell that match, by their ranks."""
    if marks is None:
        return []
    tokens = index.layer(int(one["place"])).trigger_token[int(one["row"]), int(one["number"])]
    ranks: list[int] = np.flatnonzero(marks.has(tokens))[:limit].tolist()
    return ranks
