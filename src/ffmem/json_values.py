"""The one way from records to JSON."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.ids import CellId

JsonObject = dict[str, Any]
"""An object as JSON has it: names, and values that are plain in turn."""


class Record:
    """A frozen dataclass whose JSON is its fields."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self)


def to_json(value: Any) -> Any:
    """Plain JSON values: of a record its fields by name, unless it has a `to_json` of its own that says otherwise.

    Cells and paths become strings, tuples and arrays lists, sets sorted lists; NaN and infinity, which JSON does not have,
    become None.

    Raises:
        TypeError: there is no such form of it.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, CellId | Path):
        return str(value)
    if hasattr(value, "to_json"):
        return to_json(value.to_json())
    if is_dataclass(value) and not isinstance(value, type):
        return fields_to_json(value)
    if isinstance(value, Mapping):
        return {str(name): to_json(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def fields_to_json(record: Any, *left_out: str) -> JsonObject:
    """The fields of a record by name, but for some: what a class begins with whose JSON differs from its fields."""
    return {one.name: to_json(getattr(record, one.name)) for one in fields(record) if one.name not in left_out}


_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What a terminal might obey, or what turns a line round; JSON itself escapes only what is below U+0020."""


def visible_json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """One JSON document in which whatever cannot be seen is escaped."""
    text = json_text(value, indent=indent, ascii_only=ascii_only)
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """One JSON document."""
    return json.dumps(to_json(value), ensure_ascii=ascii_only, indent=indent, allow_nan=False)
