"""In what two identities differ, in words. Knows no model."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_COMPARED = re.compile(r"model\.(source|name)|corpus(\.corpora\.\d+)?\.name")
"""The same thing may lie elsewhere."""


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """In which words two identities differ, "" if they do not."""
    left, right = dict(_flat(found)), dict(_flat(asked))
    names = [n for n in {**right, **left} if not _NOT_COMPARED.fullmatch(n) and left.get(n) != right.get(n)]
    return "; ".join(f"{_readable(n)} is {left.get(n)!r} there and {right.get(n)!r} here" for n in names)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        elif isinstance(item, list):
            yield from _flat({str(number): one for number, one in enumerate(item)}, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def _readable(name: str) -> str:
    return "--" + name[8:].replace("_", "-") if name.startswith("options.") else name
