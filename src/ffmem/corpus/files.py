"""Files of text and of JSON lines."""

import codecs
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ffmem.corpus.compression import DAMAGED, open_plain
from ffmem.corpus.documents import Corpus, Document, document_of
from ffmem.errors import InputError


class File(Corpus):
    """One file; a document knows nothing of its path."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.name = path.name

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity. The hash is that of the file's bytes, compressed as they are."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"kind": self.kind, "name": self.name, "sha256": digest}


class _LineFile(File):
    def _lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines, without their ends."""
        self.n_undecodable_bytes = 0
        number = 0
        try:
            with open_plain(self.path) as file:
                for number, line in enumerate(file, start=1):
                    content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                    yield number, self._decode(content.rstrip(b"\r\n"))
        except DAMAGED as error:
            raise InputError(
                f"{self.path} is truncated or corrupt after line {number}: {error}",
                f"Expected a whole {self.path.suffix} file",
                "Fetch it again, or compress it again",
            ) from error

    def _decode(self, data: bytes) -> str:
        """UTF-8, with each byte that does not decode as U+FFFD, and counted."""
        return self._clean(data.decode(errors="surrogateescape"))


class TextFile(_LineFile):
    """A text file: a document a paragraph, paragraphs being parted by blank lines."""

    kind = "text"

    def __iter__(self) -> Iterator[Document]:
        n_paragraphs, lines = 0, []
        for _, line in self._lines():
            if line.strip():
                lines.append(line)
            elif lines:
                n_paragraphs += 1
                yield Document(f"paragraph {n_paragraphs}", "\n".join(lines))
                lines = []
        if lines:
            yield Document(f"paragraph {n_paragraphs + 1}", "\n".join(lines))


class JsonLines(_LineFile):
    """A file of JSON objects, one a line: a document each, its text in one field."""

    kind = "jsonl"

    def __init__(self, path: Path, text_field: str) -> None:
        super().__init__(path)
        self.text_field = text_field

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity."""
        return super().identity() | {"field": self.text_field}

    def __iter__(self) -> Iterator[Document]:
        for number, line in self._lines():
            if line.strip():
                yield self._document(number, line)

    def _document(self, number: int, line: str) -> Document:
        where = f"line {number} of {self.path}"
        try:
            fields = self._clean_all(json.loads(line, parse_constant=_no_constant))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where} is not JSON: {error}", "Expected one JSON object a line", "Mend the line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(f"{where} holds {type(fields).__name__}", "Expected a JSON object", "Mend the line")
        return document_of(fields, self.text_field, where, f"line {number}")

    def _clean_all(self, value: Any) -> Any:
        """Every string in a JSON value, names of fields included, cleaned."""
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._clean_all(item) for item in value]
        if isinstance(value, dict):
            return {self._clean(name): self._clean_all(item) for name, item in value.items()}
        return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
