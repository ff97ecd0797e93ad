"""What annotators fill in, and what an export holds: annotations -> rows, and rows -> annotations with every check."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ffmem.annotations.batches import Batch, check_index, index_id, load_batch, shown_trigger
from ffmem.annotations.protocol import (
    ADJUDICATED,
    CLASSES,
    CellAnnotation,
    Pattern,
    ShownCell,
    ShownTrigger,
    check_name,
)
from ffmem.annotations.rows import Row, Values, numbers_of, read_rows
from ffmem.errors import InputError
from ffmem.store.reader import Index

N_PATTERN_ROWS = 8
"""Rows for patterns that a sheet has ready for each cell; an annotator may add more."""


@dataclass(frozen=True)
class Filled:
    """What one annotator says about one batch."""

    batch: str
    annotator: str
    annotations: tuple[CellAnnotation, ...]
    n_blank: int
    """Cells of the sheet that were not annotated: they hold no pattern and no mark."""


def blank_rows(batch: Batch, annotator: str) -> Iterator[Values]:
    """A sheet: rows for the patterns of each cell, and a row for each of its triggers."""
    for number, cell in enumerate(batch.cells, 1):
        of_cell = {"batch": batch.name, "annotator": annotator, "cell": str(number)}
        for i in range(1, N_PATTERN_ROWS + 1):
            yield of_cell | {"row": "pattern", "number": str(i), "text": "", "class": ""}
        for i, trigger in enumerate(cell.triggers, 1):
            yield of_cell | {"row": "trigger", "number": str(i), "text": trigger.text, "patterns": ""}


def export_rows(index: Index, annotations: Iterable[CellAnnotation]) -> Iterator[Values]:
    """Everything that is known about annotations; `read_filled` makes the same annotations of it."""
    for one in annotations:
        of_cell = {
            "index": index_id(index),
            "batch": one.batch,
            "annotator": one.annotator,
            "cell": str(one.shown.cell),
        }
        of_cell |= {"sign": str(one.shown.sign), "n_triggers": str(len(one.shown.triggers))}
        for pattern in one.patterns:
            yield of_cell | pattern_values(pattern)
        for i, (trigger, numbers) in enumerate(zip(one.shown.triggers, one.marks, strict=True), 1):
            found = {"row": "trigger", "number": str(i), "text": trigger.text, "patterns": marks_text(numbers)}
            yield of_cell | found | {"sentence_id": str(trigger.sentence_id), "position": str(trigger.position)}


def pattern_values(pattern: Pattern) -> Values:
    """The fields of a pattern's row."""
    return {"row": "pattern", "number": str(pattern.number), "text": pattern.text, "class": pattern.pattern_class}


def marks_text(numbers: Iterable[int]) -> str:
    """Pattern numbers as a trigger's row has them; 0 stands for none."""
    return " ".join(map(str, sorted(numbers))) or "0"


def read_filled(index: Index, path: Path) -> list[Filled]:
    """What a sheet that was filled in, or an export, says.

    Args:
        index: the index that the sheet was drawn from.
        path: a .csv or .json file.

    Raises:
        InputError: something in it is wrong; the message names file and row.
    """
    files: dict[tuple[str, str, str], list[Row]] = {}
    for row in read_rows(path):
        files.setdefault((row["index"], row["batch"], row["annotator"]), []).append(row)
    if not files:
        raise InputError(f"{path} holds no rows", "Expected a sheet or an export", "Give the file that was filled in")
    return [_filled(index, path, rows) for rows in files.values()]


def _filled(index: Index, path: Path, rows: list[Row]) -> Filled:
    batch, annotator = rows[0]["batch"], rows[0]["annotator"]
    with _at(rows[0]):
        check_name(batch, "batch")
        check_name(annotator, "annotator")
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["row"] not in ("pattern", "trigger"):
            raise row.wrong(f"its kind of row is {row['row']!r}", "pattern or trigger", "Write one of them")
        cells.setdefault((row["cell"], row["sign"]), []).append(row)
    if rows[0]["index"]:
        check_index(index, rows[0]["index"], rows[0].where)
        shown = [_exported_cell(index, some) for some in cells.values()]
    else:
        with _at(rows[0]):
            drawn = load_batch(index, batch)
        shown = [_sheet_cell(drawn, some[0]) for some in cells.values()]
        if annotator != ADJUDICATED:
            _check_all_there(path, drawn, {cell for cell, _ in cells})
    found = [_annotation(batch, annotator, *one) for one in zip(cells.values(), shown, strict=True)]
    annotations = tuple(one for one in found if one is not None)
    return Filled(batch, annotator, annotations, len(found) - len(annotations))


def _sheet_cell(batch: Batch, row: Row) -> ShownCell:
    number = row.number("cell")
    if not 1 <= number <= len(batch.cells):
        raise row.wrong(
            f"batch {batch.name!r} has no cell {number}", f"1 to {len(batch.cells)}", "Write the number that it had"
        )
    return batch.cells[number - 1]


def _check_all_there(path: Path, batch: Batch, cells: set[str]) -> None:
    for number in range(1, len(batch.cells) + 1):
        if str(number) not in cells:
            raise InputError(
                f"{path} has no rows of cell {number}",
                f"Expected all cells of batch {batch.name!r}, from 1 to {len(batch.cells)}; one may be left blank",
                "Put its rows back, from the sheet as it was drawn, and import the file again",
            )


def _exported_cell(index: Index, rows: list[Row]) -> ShownCell:
    found = _in_order([row for row in rows if row["row"] == "trigger"], rows[0].number("n_triggers"), rows[0])
    triggers = []
    for row in found:
        with _at(row):
            triggers.append(shown_trigger(index, row.number("sentence_id"), row.number("position")))
    with _at(rows[0]):
        return ShownCell(index.cell_id(rows[0]["cell"]), rows[0].number("sign"), tuple(triggers))


@contextmanager
def _at(row: Row) -> Iterator[None]:
    """Say where, if something is wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{row.where}: {error.got}", error.expected, error.mend) from error


def _in_order(rows: list[Row], n: int, first: Row) -> list[Row]:
    """Rows of triggers by their numbers, which are 1 to n."""
    found: dict[int, Row] = {}
    for row in rows:
        number = row.number("number")
        if number in found:
            raise row.wrong(
                f"a second row for trigger {number} of cell {row['cell']}",
                "one row for a trigger",
                "Delete one of them",
            )
        if not 1 <= number <= n:
            raise row.wrong(
                f"cell {row['cell']} has no trigger {number}", f"1 to {n}", "Write the number that the sheet had there"
            )
        found[number] = row
    for number in range(1, n + 1):
        if number not in found:
            raise first.wrong(
                f"cell {first['cell']} begins here, and has no row for trigger {number}",
                f"a row for each of its {n} triggers",
                "Put the row back, from the sheet as it was drawn",
            )
    return [found[number] for number in range(1, n + 1)]


def _annotation(batch: str, annotator: str, rows: list[Row], shown: ShownCell) -> CellAnnotation | None:
    """What the rows of a cell say; None if they are blank."""
    triggers = _in_order([row for row in rows if row["row"] == "trigger"], len(shown.triggers), rows[0])
    for row, trigger in zip(triggers, shown.triggers, strict=True):
        _check_text(row, trigger)
    patterns = _patterns([row for row in rows if row["row"] == "pattern"])
    if annotator == ADJUDICATED:
        _check_decided(triggers)
    elif not patterns and not any(row["patterns"] for row in triggers):
        return None
    marks = tuple(_marks(row, [one.number for one in patterns]) for row in triggers)
    return CellAnnotation(batch, annotator, shown, patterns, marks)


def _check_text(row: Row, trigger: ShownTrigger) -> None:
    if row["text"].split() != trigger.text.split():
        raise row.wrong(
            f"the text of trigger {row['number']} of cell {row['cell']} is {row['text'][:200]!r}",
            f"what was drawn, {trigger.text[:200]!r}",
            "Put the text back, and change only text and class of patterns, and patterns of triggers",
        )


def _check_decided(triggers: list[Row]) -> None:
    for row in triggers:
        if not row["patterns"]:
            raise row.wrong(
                f"trigger {row['number']} of cell {row['cell']} is undecided",
                "the numbers of the patterns that it contains, or 0",
                "Decide what annotators differ on",
            )


def _patterns(rows: list[Row]) -> tuple[Pattern, ...]:
    found: dict[int, Pattern] = {}
    for row in rows:
        text, given = row["text"], row["class"].lower()
        if not text and not given:
            continue
        number = row.number("number")
        if number < 1:
            raise row.wrong(f"a pattern has the number {number}", "1 or more", "Give it a number of its own")
        if number in found:
            raise row.wrong(
                f"a second pattern {number} of cell {row['cell']}",
                "one row for a pattern",
                "Give it a number of its own",
            )
        if not text:
            raise row.wrong(f"pattern {number} is not described", "its description as text", "Describe it in words")
        for pattern_class in CLASSES:
            if given == pattern_class:
                found[number] = Pattern(number, text, pattern_class)
        if number not in found:
            raise row.wrong(
                f"the class of pattern {number} is {row['class']!r}", " or ".join(CLASSES), "Write one of them"
            )
    return tuple(found[number] for number in sorted(found))


def _marks(row: Row, known: Sequence[int]) -> frozenset[int]:
    given = numbers_of(row["patterns"])
    if given in ([], ["0"]):
        return frozenset()
    strange = [one for one in given if one not in map(str, known)]
    if strange:
        raise row.wrong(
            f"trigger {row['number']} of cell {row['cell']} has pattern {strange[0]}, which is not described",
            f"numbers of its patterns ({', '.join(map(str, known)) or 'none is described'}), spaces between them; or 0",
            "Describe the pattern in a row of its own, or correct the number",
        )
    return frozenset(map(int, given))
