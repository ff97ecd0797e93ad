"""Names by rule of the units of an index: found block by block, graded once all are known."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.ids import CellSpace
from ffmem.names.rules.block import Finder, Found
from ffmem.names.rules.chance import accepted
from ffmem.names.rules.features import FAMILIES, Features
from ffmem.names.rules.firing import Sampled
from ffmem.names.rules.text import Text
from ffmem.names.rules.units import CERTAIN, Block, blocks, certain, check_sample, promoted, sampled
from ffmem.store.reader import Index

GRADES = ("A", "B", "C", "")
"""By number; the last is none."""
GRADE_ENDS = (0.5, 0.25, 0.1)
"""Lower ends of F1 on held-out text that the grades ask for."""
CONFIDENT = 2
"""The first so many grades are confident names."""
EXPLAINED = 0.55
"""Confident names are for units that fire or do not. One whose coefficient is a bell curve has a tip, too, of which a name
may be true; so has every random direction, and a cell of an untrained model."""
_STEADY = 0.5
"""A first value that fewer resamples give costs a grade."""
_RARE_DOCUMENTS = 3


@dataclass(frozen=True)
class Units:
    """What is known of all units, an entry each, block after block: see `block.Found` for what is not told here."""

    blocks: tuple[Block, ...]
    found: tuple[Found, ...]
    certain: np.ndarray
    """Numbers of `CERTAIN`."""

    def _joined(self, of: Callable[[Found], np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(of(one) for one in self.found)])

    @cached_property
    def place(self) -> np.ndarray:
        """Of each unit's layer in the index."""
        return np.repeat([one.place for one in self.blocks], [len(one.rows) for one in self.blocks]).astype(np.int64)

    @cached_property
    def feature(self) -> np.ndarray:
        """Number of the feature of its rule, -1 for none; none for what is certain."""
        found = self._joined(lambda one: one.choice.best).astype(np.int64)
        return np.where(self.certain > 0, -1, found)

    def judged(self, name: str) -> np.ndarray:
        """A field of `confidence.Judged`, NaN for units without a rule."""
        found = self._joined(lambda one: getattr(one.judged, name))
        return np.where(self.feature >= 0, found, np.nan)

    @cached_property
    def explained(self) -> np.ndarray:
        """Share of the variance of the coefficient that lies between where the unit fires and where it does not."""
        return self._joined(lambda one: one.explained)

    @cached_property
    def steady(self) -> np.ndarray:
        """Share of resamples with the same first value."""
        steady: np.ndarray = np.nan_to_num(self._joined(lambda one: one.stable.steady))
        return steady

    def stable(self, name: str) -> np.ndarray:
        """A field of `block.Stable`."""
        return self._joined(lambda one: getattr(one.stable, name))

    @cached_property
    def swapped_f1(self) -> np.ndarray:
        """F1 of another unit's rule."""
        return self._joined(lambda one: one.swapped_f1)

    @cached_property
    def topic_p(self) -> np.ndarray:
        """Chance of its topic being as frequent; NaN for none."""
        return self._joined(lambda one: one.topics.p)

    @cached_property
    def value_holds(self) -> np.ndarray:
        """Whether the value side belongs to the name."""
        return self._joined(lambda one: one.value.holds).astype(bool)


@dataclass(frozen=True)
class Names:
    """Names by rule of units of an index."""

    index: Index
    features: Features
    units: Units
    seed: int

    @property
    def is_tested(self) -> bool:
        """Whether there was text to test names on."""
        return self.features.text.is_split

    @cached_property
    def family(self) -> np.ndarray:
        """(units,) number of the family in `FAMILIES`, -1 for none."""
        of_feature = [FAMILIES.index(one.family) for one in self.features.all]
        family: np.ndarray = np.array([*of_feature, -1])[self.units.feature]
        return family

    @cached_property
    def accepted(self) -> np.ndarray:
        """(units,) whether the rule holds on held-out documents more often than by chance, many tests considered."""
        p = self.units.judged("p")
        found = np.zeros(len(p), dtype=bool)
        for number in range(len(FAMILIES)):
            some = self.family == number
            found[some] = accepted(p[some])
        return found

    @cached_property
    def grade(self) -> np.ndarray:
        """(units,) numbers of `GRADES`."""
        low = np.nan_to_num(self.units.judged("low"))
        found = np.full(len(low), len(GRADE_ENDS))
        for number in reversed(range(len(GRADE_ENDS))):
            found[low >= GRADE_ENDS[number]] = number
        found = np.where(self.units.steady < _STEADY, found + 1, found)
        found = np.where(self.units.explained < EXPLAINED, np.maximum(found, CONFIDENT), found)
        return np.where(self.accepted, np.minimum(found, len(GRADE_ENDS)), len(GRADE_ENDS))

    @cached_property
    def topical(self) -> np.ndarray:
        """(units,) whether the unit prefers its topic on held-out documents, too, many tests considered."""
        topical: np.ndarray = accepted(self.units.topic_p) & (self.units.certain == 0)
        return topical

    @cached_property
    def kind(self) -> np.ndarray:
        """(units,) what is said of each: a family, what is certain, "unclear" for a guess and "none" for nothing."""
        families = np.array([*FAMILIES, "none"], dtype=object)
        unclear = np.array("unclear", dtype=object)
        found = families[self.family]
        if self.is_tested:
            found = np.where((self.family >= 0) & (self.grade == len(GRADE_ENDS)), unclear, found)
        kind: np.ndarray = np.where(self.units.certain > 0, np.array(CERTAIN, dtype=object)[self.units.certain], found)
        return kind


def name_units(
    index: Index,
    cells: CellSpace | None = None,
    *,
    seed: int = 0,
    on_block: Callable[[int, int], None] = lambda *_: None,
    disguise: Callable[[Text, Sampled, Block], Sampled] | None = None,
) -> Names:
    """Names by rule.

    Index, cells and seed alone decide them.

    Args:
        index: an opened index with a sample.
        cells: which; None: all of the index.
        seed: of how documents are split and drawn again.
        on_block: called with how many units are done, and how many there are.
        disguise: makes fakes of the samples of a block, which are then named as if they were true.

    Raises:
        StoreError: the index has no sample, or a damaged one.

    Cost: two cores name 500 units a second; some 100 bytes for each token of the text, and 100 MB for each processor.
    """
    check_sample(index)
    text = Text.of(index, seed=seed)
    features = Features.of(index, text, seed=seed)
    finder = Finder.of(features, seed)
    todo = list(blocks(index, _rows(index, cells)))
    n_all, n_done = sum(len(one.rows) for one in todo), 0
    found: list[Found] = []
    certain_of = [np.zeros(0, dtype=np.int64)]

    def work(block: Block) -> tuple[Found, np.ndarray]:
        sample = sampled(index, text, block)
        if disguise is not None:
            sample = disguise(text, sample, block)
        one = finder.find(sample, promoted(index, text, block))
        known = certain(index, block)
        known = np.where((known == 0) & (one.n_documents < _fewest(text)), CERTAIN.index("rare"), known)
        return one, known

    with ThreadPoolExecutor(n_threads()) as threads:
        for block, (one, known) in zip(todo, threads.map(work, todo), strict=True):
            found.append(one)
            certain_of.append(known)
            n_done += len(block.rows)
            on_block(n_done, n_all)
    units = Units(tuple(todo), tuple(found), np.concatenate(certain_of))
    return Names(index, features, units, seed)


def n_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fewest(text: Text) -> int:
    return min(_RARE_DOCUMENTS, text.n_documents)


def _rows(index: Index, cells: CellSpace | None) -> dict[int, np.ndarray]:
    """Rows of the arrays of each layer, by its place in the index."""
    if cells is None:
        return {place: np.arange(one.n_cells) for place, one in enumerate(index.cells.layers)}
    found: dict[int, np.ndarray] = {}
    for place, one in enumerate(index.cells.layers):
        wanted = next((some for some in cells.layers if some.name == one.name), None)
        if wanted is not None:
            inside = np.isin(np.asarray(one.indices), np.asarray(wanted.indices))
            rows = np.arange(one.n_cells).reshape(one.n_groups, -1)[:, inside].reshape(-1)
            if len(rows):
                found[place] = np.sort(rows)
    return found


def unit_rows(names: Names) -> Iterator[tuple[Block, Found, int]]:
    """Each unit by its block and its place in it, in the order of the arrays of `Units`."""
    for block, found in zip(names.units.blocks, names.units.found, strict=True):
        for place in range(len(block.rows)):
            yield block, found, place
