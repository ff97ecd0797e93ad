"""What a reader gives: documents in a fixed order, without ever holding all of them."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from ffmem.errors import InputError

REPLACEMENT = "\ufffd"
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A piece of text that stands on its own."""

    name: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    """Every other field that came with it."""


class Corpus:
    """Documents in a fixed order. Iterating reads them anew each time."""

    kind: str
    name: str

    def __init__(self) -> None:
        self.n_undecodable_bytes = 0
        """Bytes that were no UTF-8, and lone surrogates, met by the last iteration; each stands as U+FFFD."""

    def settle(self, folder: Path, begun: dict[str, Any] | None) -> None:
        """Get ready to be read as often as a build needs; called once, before `identity`.

        Args:
            folder: where the build keeps what it needs until it is finished; may not be there yet.
            begun: the identity of the corpus that the build began with, or was finished with; None for a new one.
        """

    def identity(self) -> dict[str, Any]:
        """What decides the documents: kind, name, and a hash of the content."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Document]:
        raise NotImplementedError

    def content_hash(self) -> str:
        """SHA-256 over the documents as they are read."""
        digest = hashlib.sha256()
        for document in self:
            digest.update(f"{document.name}\0{document.text}\0".encode())
            if document.metadata:
                digest.update(json.dumps(document.metadata, sort_keys=True).encode() + b"\0")
        return digest.hexdigest()

    def _clean(self, text: str) -> str:
        """Surrogates become U+FFFD and are counted: they stand for undecodable bytes, or JSON had them alone."""
        cleaned, n = _SURROGATES.subn(REPLACEMENT, text)
        self.n_undecodable_bytes += n
        return cleaned


class PythonDocs(Corpus):
    """The language reference that every CPython carries (``help("topics")``): a document a topic."""

    kind = "python-docs"
    name = "python-docs"

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity. The text differs between Python versions, and so does the hash."""
        return {"kind": self.kind, "name": self.name, "sha256": self.content_hash()}

    def __iter__(self) -> Iterator[Document]:
        from pydoc_data.topics import topics  # half a megabyte of text: only when it is asked for

        self.n_undecodable_bytes = 0
        for name in sorted(topics):
            yield Document(name, topics[name])


def document_of(fields: dict[str, Any], text_field: str, where: str, fallback: str) -> Document:
    """The document of one row of named fields.

    Args:
        fields: the row, as JSON values.
        text_field: which of them holds the text; all others become metadata.
        where: for the message, such as "line 3 of x.jsonl".
        fallback: the name of a row whose fields ``id`` and ``title`` hold none.

    Raises:
        InputError: there is no text in that field.
    """
    metadata = {name: value for name, value in fields.items() if name != text_field}
    text = fields.get(text_field)
    if not isinstance(text, str):
        raise InputError(
            f"{where} has no text in its field {text_field!r}",
            f"Expected a string there; its other fields: {', '.join(sorted(metadata)) or 'none'}",
            "Name the field that holds the text: --field NAME",
        )
    name = next((metadata[key] for key in ("id", "title") if isinstance(metadata.get(key), str)), fallback)
    return Document(name, text, metadata)


def as_json(value: Any) -> Any:
    """A value of a table as JSON has it: times as ISO 8601, bytes by their number, what else is unknown as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(name): as_json(item) for name, item in value.items()}
    return str(value)
