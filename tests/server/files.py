"""Files that pages give away, read back by other libraries."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest


def table_of(data: bytes) -> list[dict[str, str]]:
    """The rows of a CSV, as a spreadsheet opens it."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def marks_of(picture: bytes) -> list[dict[str, str]]:
    """What each mark of a picture is read out as: names and values, numbers with twelve digits; axes are left out."""
    labels = [one.get("aria-label", "") for one in ElementTree.fromstring(picture).iter()]
    return [dict(re.findall(r"(?:^|; )([^;:]+): ([^;]*)", one)) for one in labels if re.search(r"(number|\bn): ", one)]


def numbers_of(rows: Any, *names: str) -> list[tuple[Any, ...]]:
    """Columns of rows, numbers as such; nothing for what is empty."""
    return [tuple(_number(row[name]) for name in names) for row in rows]


def _number(value: Any) -> Any:
    if value in ("", None, "null"):
        return None
    try:
        return pytest.approx(float(str(value).replace("\u2212", "-")), rel=1e-9)
    except (TypeError, ValueError):
        return value
