"""Annotations beside an index: a JSON file for each annotator and batch, and all of them as one file to take elsewhere."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ffmem.annotations.batches import Batch, annotations_folder, save_batch
from ffmem.annotations.protocol import ADJUDICATED, CellAnnotation, Pattern, check_name
from ffmem.annotations.rows import EXPORT, SHEET, Values, rows_to_json, to_csv
from ffmem.annotations.sheets import blank_rows, export_rows, read_filled
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.store.files import atomic_write, disk_errors
from ffmem.store.reader import Index


@dataclass(frozen=True)
class Invalid(Record):
    """A pattern that too few different triggers carry."""

    cell: CellId
    batch: str
    annotator: str
    pattern: Pattern
    n_triggers: int
    """That carry it, whatever their sentences."""


@dataclass(frozen=True)
class Imported(Record):
    """What an import has stored."""

    batch: str
    annotator: str
    n_cells: int
    n_blank: int
    """Cells of the sheet that were not annotated."""
    done: Literal["stored", "replaced", "unchanged"]
    invalid: tuple[Invalid, ...]


def write_sheets(index: Index, batch: Batch, annotators: Sequence[str], out: Path) -> list[Path]:
    """Write a batch's key beside the index, and a sheet for each annotator, as CSV and as JSON.

    Raises:
        InputError: a name is taken or is none, or a sheet already exists.
    """
    for annotator in annotators:
        check_name(annotator, "annotator")
        if annotator == ADJUDICATED:
            raise InputError(
                f"an annotator is named {ADJUDICATED!r}",
                "Expected a name other than the one reserved for differences that were settled",
                "Choose another name",
            )
    if not annotators:
        raise InputError(
            "no annotator is given", "Expected one or more", "Name them: ffmem annotate draw DIR ann bob ..."
        )
    sheets = {out / f"{batch.name}.{one}": list(blank_rows(batch, one)) for one in annotators}
    for sheet in sheets:
        _check_new(csv_of(sheet), json_of(sheet))
    save_batch(index, batch)
    return [path for sheet, rows in sheets.items() for path in write_sheet(sheet, rows, SHEET)]


def write_sheet(sheet: Path, rows: list[Values], columns: Sequence[str]) -> tuple[Path, Path]:
    """Write a sheet under a name, to which .csv and .json are added.

    Raises:
        InputError: it already exists.
    """
    files = csv_of(sheet), json_of(sheet)
    _check_new(*files)
    with disk_errors(sheet):
        sheet.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(files[0], to_csv(rows, columns))
    atomic_write(files[1], _as_bytes(rows_to_json(rows)[0]))
    return files


def csv_of(sheet: Path) -> Path:
    """The CSV form of a sheet."""
    return sheet.with_name(sheet.name + ".csv")


def json_of(sheet: Path) -> Path:
    """The JSON form of a sheet."""
    return sheet.with_name(sheet.name + ".json")


def import_files(index: Index, paths: Sequence[Path], *, replace: bool = False) -> list[Imported]:
    """Store what sheets or exports say; all of them, or none if one is wrong.

    Args:
        index: the index that they belong to.
        paths: .csv or .json files.
        replace: let what is given take the place of what is stored for the same annotator and batch.

    Raises:
        InputError: a file is wrong, or would replace what is stored.
    """
    if not paths:
        raise InputError(
            "no file is named", "Expected sheets or exports", "Name them: ffmem annotate import DIR FILE ..."
        )
    found: dict[tuple[str, str], tuple[CellAnnotation, ...]] = {}
    n_blank: dict[tuple[str, str], int] = {}
    for path in paths:
        for filled in read_filled(index, path):
            key = filled.batch, filled.annotator
            if not filled.annotations:
                raise InputError(
                    f"{path} is blank: {filled.annotator} has annotated no cell of batch {filled.batch!r}",
                    "Expected patterns and marks in at least one cell",
                    "Fill it in, and import it again; where there is no pattern, mark the triggers with 0",
                )
            if key in found:
                raise InputError(
                    f"{path} is a second file of {filled.annotator} for batch {filled.batch!r}",
                    "Expected one",
                    "Give only the one that counts",
                )
            found[key], n_blank[key] = filled.annotations, filled.n_blank
    stored = {key: load_path(index, stored_path(index, *key)) for key in found if stored_path(index, *key).is_file()}
    for key in found:
        if not replace and stored.get(key, found[key]) != found[key]:
            raise InputError(
                f"other annotations of {key[1]} for batch {key[0]!r} are stored already",
                "Expected an annotator and batch of which nothing is stored, or the same annotations",
                "Keep them with `ffmem annotate export`, then import with --replace",
            )
    for key, annotations in found.items():
        _save(index, stored_path(index, *key), annotations)
    return [
        Imported(
            batch=key[0],
            annotator=key[1],
            n_cells=len(annotations),
            n_blank=n_blank[key],
            done="stored" if key not in stored else "unchanged" if stored[key] == annotations else "replaced",
            invalid=invalid_patterns(annotations),
        )
        for key, annotations in found.items()
    ]


def invalid_patterns(annotations: Iterable[CellAnnotation]) -> tuple[Invalid, ...]:
    """The patterns of some annotations that are not valid."""
    return tuple(
        Invalid(one.shown.cell, one.batch, one.annotator, pattern, len(one.carriers(pattern.number)))
        for one in annotations
        for pattern in one.invalid
    )


def load(index: Index) -> list[CellAnnotation]:
    """All annotations that are stored, by batch, annotator and the order of the sheet.

    Raises:
        InputError: a file was changed, or belongs to another index.
    """
    return [one for path in sorted(annotations_folder(index).glob("*.json")) for one in load_path(index, path)]


def export(index: Index, out: Path) -> int:
    """Write all annotations into one .csv or .json file, and say how many cells of an annotator they are.

    Raises:
        InputError: nothing is stored; the file already exists, or of another kind.
    """
    annotations = load(index)
    if not annotations:
        raise InputError(
            f"{index.folder} has no annotations",
            "Expected some annotations",
            "Import them first: ffmem annotate import DIR SHEET",
        )
    if out.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"--out is {str(out)!r}", "Expected a name that ends in .csv or .json", "Write --out all.csv")
    _check_new(out)
    rows = list(export_rows(index, annotations))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(
        out, to_csv(rows, EXPORT) if out.suffix.lower() == ".csv" else _as_bytes({"annotations": rows_to_json(rows)})
    )
    return len(annotations)


def load_one(index: Index, batch: str, annotator: str) -> tuple[CellAnnotation, ...]:
    """What one annotator says about one batch; empty if nothing is stored."""
    path = stored_path(index, batch, annotator)
    return load_path(index, path) if path.is_file() else ()


def save_one(index: Index, batch: str, annotator: str, annotations: Sequence[CellAnnotation]) -> Path:
    """Let this be what is stored of one annotator and batch, no file if nothing is; where it lies."""
    path = stored_path(index, batch, annotator)
    if annotations:
        _save(index, path, annotations)
    else:
        path.unlink(missing_ok=True)
    return path


def load_path(index: Index, path: Path) -> tuple[CellAnnotation, ...]:
    """What one stored file says.

    Raises:
        InputError: it was changed, or belongs to another index.
    """
    return tuple(one for filled in read_filled(index, path) for one in filled.annotations)


def _save(index: Index, path: Path, annotations: Iterable[CellAnnotation]) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, _as_bytes(rows_to_json(export_rows(index, annotations))[0]))


def stored_path(index: Index, batch: str, annotator: str) -> Path:
    """Where what an annotator says about a batch is kept."""
    return annotations_folder(index) / f"{batch}.{annotator}.json"


def _as_bytes(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _check_new(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise InputError(
                f"{path} already exists, and may have been filled in",
                "Expected a name that is not taken",
                "Move it away, or choose another --out",
            )
