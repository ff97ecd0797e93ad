"""In what two identities differ, in words. Knows no model."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_COMPARED = re.compile(r"model\.(source|name)|options\.(dictionary|patch)\.\d+|corpus(\.corpora\.\d+)?\.name")
"""The same thing may lie elsewhere."""


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """In which words two identities differ, "" if they do not."""
    left, right = dict(_flat(found)), dict(_flat(asked))
    names = [n for n in {**right, **left} if not _NOT_COMPARED.fullmatch(n) and left.get(n) != right.get(n)]
    return "; ".join(f"{_readable(n)} is {left.get(n)!r} there and {right.get(n)!r} here" for n in names)


def identity_id(identity: Mapping[str, Any]) -> str:
    """A name that two indexes share only if the same model, text and options decided their content."""
    return f"index-{sha256_of_identity(identity)[:16]}"


def sha256_of_identity(identity: Mapping[str, Any]) -> str:
    """A hash of an identity or a part of it, wherever its things lay and whatever they were called."""

    def known(value: Any) -> Any:
        if isinstance(value, dict):  # the same thing may lie elsewhere, under another name
            return {name: known(one) for name, one in value.items() if name not in ("name", "source")}
        return [known(one) for one in value] if isinstance(value, list) else value

    return hashlib.sha256(json.dumps(known(identity), sort_keys=True).encode()).hexdigest()


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
