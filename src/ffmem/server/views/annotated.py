"""Batches and what is stored of them, read once for as long as their files stay the same."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ffmem.annotations.batches import Batch, annotations_folder, load_batch
from ffmem.annotations.journal import batch_names
from ffmem.annotations.protocol import CellAnnotation
from ffmem.annotations.store import load_path
from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.server.explorer import Explorer

Result = TypeVar("Result")


@dataclass(frozen=True)
class SaidPattern(Record):
    """A pattern that an annotator saw."""

    text: str
    pattern_class: str
    n_triggers: int
    """Different triggers that carry it."""
    counts: bool
    """Whether they are enough for a pattern."""


@dataclass(frozen=True)
class CellSaid(Record):
    """What one annotator said of the triggers of a cell, of one sign."""

    annotator: str
    batch: str
    sign: int
    n_triggers: int
    """That were shown."""
    n_covered: int
    """Of these, with a pattern that counts."""
    patterns: tuple[SaidPattern, ...]


def said_of(explorer: Explorer, cell: CellId) -> tuple[CellSaid, ...]:
    """What annotators said of a cell, in the order in which it is stored."""
    found = []
    try:
        stored = stored_of(explorer)
    except FfmemError:  # a file of theirs is damaged, which the page of annotations says; the cell is not
        return ()
    for one in stored:
        if one.shown.cell == cell:
            patterns = tuple(
                SaidPattern(
                    pattern.text, pattern.pattern_class, len(one.carriers(pattern.number)), pattern in one.valid
                )
                for pattern in one.patterns
            )
            n, covered = len(one.labels), sum(label != "not-covered" for label in one.labels)
            found.append(CellSaid(one.annotator, one.batch, one.shown.sign, n, covered, patterns))
    return tuple(found)


def batch_of(explorer: Explorer, name: str, number: int = 1) -> Batch:
    """A batch that has a cell of this number.

    Raises:
        InputError: there is none of this name, or it has no such cell.
    """
    if name not in batch_names(explorer.index):
        return load_batch(explorer.index, name)  # which says what there is
    path = annotations_folder(explorer.index) / "keys" / f"{name}.json"
    found = _kept(explorer, path, lambda: load_batch(explorer.index, name))
    if not 1 <= number <= len(found.cells):
        raise InputError(
            f"batch {name!r} has no cell {number}", f"Expected 1 to {len(found.cells)}", "Begin at the first one"
        )
    return found


def stored_of(explorer: Explorer) -> list[CellAnnotation]:
    """All annotations that are stored, as `ffmem.annotations.store.load` gives them."""
    found: list[CellAnnotation] = []
    for path in sorted(annotations_folder(explorer.index).glob("*.json")):
        with suppress(FileNotFoundError):  # it was taken away just now
            found += _kept(explorer, path, partial(load_path, explorer.index, path))
    return found


def _kept(explorer: Explorer, path: Path, make: Callable[[], Result]) -> Result:
    """What was made of a file, while it is the same file; one version of each is kept."""
    known: dict[Path, tuple[tuple[int, int, int], Result]] = explorer.kept("annotations", dict)
    status = path.stat()
    stamp = status.st_ino, status.st_mtime_ns, status.st_size
    if path not in known or known[path][0] != stamp:
        known[path] = stamp, make()
    return known[path][1]
