"""What a study found about the triggers of one cell: read from the tables that it wrote, a few milliseconds each."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ffmem.errors import StoreError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.store.files import parse_json
from ffmem.store.reader import Index

_CELL = re.compile(rb"((?:enc\.|dec\.)?L\d+(?:\.e\d+)?\.\d+),")
PATTERNS = "patterns"
"""Folder of the tables, one for each layer."""


@dataclass(frozen=True)
class CellPattern(Record):
    """Something that triggers of a cell share more often than chance would have it."""

    sign: int
    kind: str
    pattern_class: str
    """"shallow", "lexical" or "semantic"."""
    text: str
    triggers: tuple[int, ...]
    """Ranks of the triggers that carry it."""
    frequency: float
    """Share of random prefixes that have it."""
    p_in_unit: float
    """The chance that so many of random prefixes have any value of this kind."""
    auc: float | None
    """How well it predicts where the cell fires in held-out text; None if not scored."""
    precision: float | None
    recall: float | None


def patterns_of(results: Path, layer: str, cell: CellId) -> tuple[CellPattern, ...] | None:
    """The accepted patterns of a cell, most certain first; None if the study has no table for its layer.

    Args:
        results: folder of a study.
        layer: name of the cell's layer.
        cell: which.

    Raises:
        StoreError: the table is damaged.
    """
    path = results / PATTERNS / f"{layer}.csv"
    if not path.is_file():
        return None
    try:
        found = [_pattern(row) for row in _rows(path, str(cell)) if _is_accepted(row)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            "Expected a table as `ffmem reproduce` wrote it",
            "Delete the folder of these results and run `ffmem reproduce` again",
        ) from error
    return tuple(sorted(found, key=lambda one: (-one.sign, one.p_in_unit, one.kind, one.text)))


def kinds_of_cells(results: Path, index: Index) -> dict[str, list[np.ndarray]]:
    """For each kind and class of pattern, and for each layer by its place, which cells have an accepted one.

    Cost: one look at every table; seconds for a million patterns.
    """
    found: dict[str, list[np.ndarray]] = {}
    for place, layer in enumerate(index.cells.layers):
        path = results / PATTERNS / f"{layer.name}.csv"
        text = path.read_bytes() if path.is_file() else b""
        for cell, kind, pattern_class, rest in _HEAD.findall(text):
            if b",True," not in rest:
                continue
            _, row = index.cells.place(index.cells.parse(cell.decode()))
            for name in (kind.decode(), pattern_class.decode()):
                if name not in found:
                    found[name] = [np.zeros(one.n_cells, dtype=bool) for one in index.cells.layers]
                found[name][place][row] = True
    return found


def cells_with_text(results: Path, index: Index, words: str) -> list[np.ndarray]:
    """For each layer, which cells have an accepted pattern whose text contains these words, whatever case and quotes."""
    wanted = _unquoted(words)
    longest = max(wanted.split(), key=len, default=wanted)
    needle = re.compile(re.escape(longest).encode(), re.IGNORECASE)
    found = []
    for layer in index.cells.layers:
        has = np.zeros(layer.n_cells, dtype=bool)
        path = results / PATTERNS / f"{layer.name}.csv"
        text = path.read_bytes() if path.is_file() else b""
        at = text.find(b"\n") + 1  # after the names of the columns
        while match := needle.search(text, at):
            first = text.rfind(b"\n", 0, match.start()) + 1
            at = text.find(b"\n", match.end()) + 1 or len(text)
            begins = _CELL.match(text, first)
            row = next(csv.reader([text[first:at].decode("utf-8", "replace")]), [])
            if begins and len(row) > _ACCEPTED and row[_ACCEPTED] == "True" and wanted in _unquoted(row[_TEXT]):
                has[index.cells.place(index.cells.parse(begins[1].decode()))[1]] = True
        found.append(has)
    return found


def _unquoted(text: str) -> str:
    return text.replace('"', "").lower()


_HEAD = re.compile(rb"^((?:enc\.|dec\.)?L\d+(?:\.e\d+)?\.\d+),-?1,([a-z0-9-]+),([a-z]+),(.*)$", re.MULTILINE)
_TEXT, _ACCEPTED = 4, 9
"""Columns of a table."""


def _rows(path: Path, cell: str) -> Iterator[dict[str, str]]:
    head, places = _places(path, path.stat().st_mtime_ns)
    with path.open("rb") as file:
        for first, end in places.get(cell, ()):
            file.seek(first)
            yield from csv.DictReader(io.StringIO(file.read(end - first).decode()), head)


@lru_cache(maxsize=512)
def _places(path: Path, _: int) -> tuple[list[str], dict[str, list[tuple[int, int]]]]:
    """The names of the columns, and where the rows of each cell lie, run by run."""
    places: dict[str, list[tuple[int, int]]] = {}
    with path.open("rb") as file:
        head = file.readline().decode().rstrip("\n").split(",")
        at, name = file.tell(), ""
        for line in file:
            begins = _CELL.match(line)
            if begins and begins[1].decode() != name:  # else the same cell, or a text with a line break, goes on
                name = begins[1].decode()
                places.setdefault(name, []).append((at, at))
            at += len(line)
            if name:
                places[name][-1] = (places[name][-1][0], at)
    return head, places


def _is_accepted(row: dict[str, str]) -> bool:
    if row["accepted"] not in ("True", "False"):
        raise ValueError(f"a row of it says {row['accepted']!r} where True or False is expected")
    return row["accepted"] == "True"


def _pattern(row: dict[str, str]) -> CellPattern:
    def maybe(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return CellPattern(
        sign=int(row["sign"]),
        kind=row["kind"],
        pattern_class=row["pattern_class"],
        text=row["text"],
        triggers=tuple(int(one) for one in parse_json(row["triggers"].encode())),
        frequency=float(row["frequency"]),
        p_in_unit=float(row["p_in_unit"]),
        auc=maybe("auc"),
        precision=maybe("precision"),
        recall=maybe("recall"),
    )
