"""Where `--out` puts an answer: into a new file, whole as JSON, or its rows as CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ffmem.cli.app import as_json
from ffmem.csv_text import write_csv
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, to_json
from ffmem.store.files import atomic_file, disk_errors

_FORMS = (".csv", ".json")


def write_answer(out: str, answer: Any, rows: Sequence[Any]) -> str:
    """Write an answer, and say so.

    Args:
        out: a new file, whose name ends with .csv or .json.
        answer: what the JSON is.
        rows: what the CSV has, a record each; records within them are laid out beside each other.

    Raises:
        InputError: the file is there already, or its name says neither form.
        StoreError: it cannot be written.
    """
    path = Path(out)
    check_out(out)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(f"{as_json(answer)}\n".encode() if path.suffix == ".json" else _csv(rows))
    return f"{len(rows):,} rows written to {path}."


def check_out(out: str | None) -> None:
    """Refuse a file that could not be written to, before anything is computed.

    Raises:
        InputError: it is there already, or its name says neither form.
    """
    if out is None:
        return
    path = Path(out)
    if path.suffix not in _FORMS:
        raise InputError(
            f"--out is {out}", f"Expected a name that ends with {' or '.join(_FORMS)}", "Write --out cells.csv"
        )
    if path.exists():
        raise InputError(
            f"{out} already exists", "Expected a new name: nothing is overwritten", "Choose another name for --out"
        )


def _csv(rows: Sequence[Any]) -> bytes:
    flat = [_flat(to_json(one)) for one in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    texts = [name for name in columns if any(isinstance(row.get(name), str) for row in flat)]
    return write_csv(({name: _text(value) for name, value in row.items()} for row in flat), columns, texts)


def _flat(row: JsonObject) -> JsonObject:
    """Records within a row laid out beside each other; of a name, what it says."""
    found: JsonObject = {}
    for name, value in row.items():
        if name == "name":
            found[name] = None if value is None else value["text"]
        elif isinstance(value, dict):
            found |= _flat(value)
        elif isinstance(value, list):
            found[name] = " ".join(map(str, value))
        else:
            found[name] = value
    return found


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else repr(value)
