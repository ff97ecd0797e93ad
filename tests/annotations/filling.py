"""Fills in sheets as an annotator would, and edits files as a spreadsheet would."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Line = dict[str, str]


def read_lines(path: Path) -> list[Line]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_lines(path: Path, lines: list[Line], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(lines)
    return path


def fill(path: Path, seed: int, blank: tuple[str, ...] = ()) -> Path:
    """Two patterns in each cell but ``blank`` ones, marked at random."""
    rng = random.Random(seed)
    lines = read_lines(path)
    for line in lines:
        if line["cell"] in blank:
            continue
        if line["row"] == "pattern" and line["number"] in "12":
            line["text"] = f'pattern "{line["number"]}", of {line["cell"]}'
            line["class"] = ("shallow", "semantic")[int(line["number"]) - 1]
        if line["row"] == "trigger":
            line["patterns"] = rng.choice(("", "0", "1", "1 2", "2"))
    return write_lines(path, lines)


def edit(path: Path, change: Callable[[list[Line]], Any]) -> Path:
    """Change the lines of a CSV file."""
    lines = read_lines(path)
    change(lines)
    return write_lines(path, lines)


def edit_json(path: Path, change: Callable[[Any], Any]) -> Path:
    """Change a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return path
