"""What a reader gives: documents in a fixed order, without ever holding all of them."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from itertools import chain
from pathlib import Path
from typing import Any

from ffmem.corpus.encodings import UTF_8, decoded
from ffmem.errors import InputError
from ffmem.json_values import JsonObject

REPLACEMENT = "\ufffd"
_SURROGATES = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 100
"""Lists and objects within one another in metadata: every reader has a limit, and those of JSON libraries differ."""
MAX_DIGITS = 600
"""Of a whole number in metadata: Python converts longer ones only where it is told to."""


@dataclass(frozen=True)
class Document:
    """A piece of text that stands on its own."""

    name: str
    text: str
    metadata: JsonObject = field(default_factory=dict)
    """Every other field that came with it."""


class Corpus:
    """Documents in a fixed order. Iterating reads them anew each time."""

    kind: str
    name: str
    is_elsewhere = False
    """Whether it comes over a network, so that reading it may fail now and not later."""

    def __init__(self) -> None:
        self.n_undecodable_bytes = 0
        """Bytes that did not decode, and lone surrogates, met by the last iteration; each stands as U+FFFD."""
        self.n_lines = 0
        """Lines of files that the last iteration has read, blank ones included; 0 where a corpus has none."""

    def settle(self, folder: Path, begun: JsonObject | None) -> None:
        """Get ready to be read as often as a build needs; called once, before `identity`.

        Args:
            folder: where the build keeps what it needs until it is finished; may not be there yet.
            begun: the identity of the corpus that the build began with, or was finished with; None for a new one.
        """

    def identity(self) -> JsonObject:
        """What decides the documents: kind, name, and a hash of the content."""
        raise NotImplementedError

    def check_unchanged(self) -> None:
        """Refuse what was read, if it may be something else than what `identity` told.

        Raises:
            InputError: its files were changed since.
        """

    def n_bytes(self) -> int | None:
        """About how many bytes of text there are, as far as that can be told without reading it; else None."""
        return None

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
        if text.isascii():
            return text
        cleaned, n = _SURROGATES.subn(REPLACEMENT, text)
        self.n_undecodable_bytes += n
        return cleaned


class PythonDocs(Corpus):
    """The language reference that every CPython carries (``help("topics")``): a document a topic."""

    kind = "python-docs"
    name = "python-docs"

    def identity(self) -> JsonObject:
        """See Corpus.identity. The text differs between Python versions, and so does the hash."""
        return {"kind": self.kind, "name": self.name, "sha256": self.content_hash()}

    def n_bytes(self) -> int:
        """See Corpus.n_bytes."""
        return 500_000

    def __iter__(self) -> Iterator[Document]:
        from pydoc_data.topics import topics  # half a megabyte of text: only when it is asked for

        self.n_undecodable_bytes = 0
        for name in sorted(topics):
            yield Document(name, topics[name])


class Rows(Corpus):
    """A corpus of rows with named fields: the text in one of them, the others as metadata."""

    def __init__(self, text_field: str, encoding: str = UTF_8) -> None:
        super().__init__()
        self.text_field, self.encoding = text_field, encoding

    def _document(self, fields: JsonObject, where: str, fallback: str) -> Document:
        """The document of one row.

        Args:
            fields: the row, as JSON values; its text may also be bytes.
            where: for messages, such as "line 3 of x.jsonl".
            fallback: the name of a row whose fields ``id`` and ``title`` hold none.

        Raises:
            InputError: there is no text in that field, or the row has what an index cannot hold.
        """
        metadata = {name: value for name, value in fields.items() if name != self.text_field}
        text = fields.get(self.text_field)
        if isinstance(text, bytes):
            text = self._clean(decoded(text, self.encoding))
        if not isinstance(text, str):
            raise InputError(
                f"{where} has no text in its field {self.text_field!r}",
                f"Expected a string there; its other fields: {', '.join(sorted(metadata)) or 'none'}",
                "Name the field that holds the text: --field NAME",
            )
        if "\0" in text:
            raise InputError(
                f"{where} has a NUL character (U+0000) in its field {self.text_field!r}, at character {text.index(chr(0))}",
                "Expected text, which has none",
                "Remove it; if the text is bytes, name their encoding with --encoding",
            )
        check_depth(fields, where)
        return Document(_name_of(metadata) or fallback, text, metadata)


def _name_of(metadata: JsonObject) -> str | None:
    """What a document calls itself: a string, or a whole number."""
    for key in ("id", "title"):
        value = metadata.get(key)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return str(value)
    return None


def check_depth(value: Any, where: str) -> None:
    """Refuse lists and objects that lie within one another more than `MAX_DEPTH` deep, the row itself included.

    Raises:
        InputError: they do.
    """
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(
                f"{where} has lists or objects nested more than {MAX_DEPTH} deep",
                f"Expected at most {MAX_DEPTH}: not every program that reads an index can read deeper ones",
                "Leave the field out, or put its value into a string",
            )
        level = list(chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level))


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
