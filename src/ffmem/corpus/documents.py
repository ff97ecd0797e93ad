"""Readers: what a corpus is made of, in a fixed order, without ever holding all of it."""

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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

    def identity(self) -> dict[str, Any]:
        """What decides the documents: kind, name, and a hash of the content."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Document]:
        raise NotImplementedError


def open_corpus(name: str, field: str = "text") -> Corpus:
    """The corpus that a name stands for.

    Args:
        name: ``python-docs``, or the path of a ``.txt`` or ``.jsonl`` file.
        field: the field of each ``.jsonl`` line that holds the text.

    Raises:
        InputError: no such corpus; the message lists what there is.
    """
    if name == PythonDocs.name:
        return PythonDocs()
    path = Path(name)
    if path.suffix not in (".txt", ".jsonl"):
        raise InputError(
            f"no corpus is called {name!r}", _ACCEPTED, "For example: ffmem index MODEL notes.txt --out DIR"
        )
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"the corpus {name} {what}", _ACCEPTED, "Check the path")
    return TextFile(path) if path.suffix == ".txt" else JsonLines(path, field)


_ACCEPTED = "Expected python-docs, or a .txt or .jsonl file"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


class PythonDocs(Corpus):
    """The language reference that every CPython carries (``help("topics")``): a document a topic."""

    kind = "python-docs"
    name = "python-docs"

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity. The text differs between Python versions, and so does the hash."""
        digest = hashlib.sha256()
        for document in self:
            digest.update(f"{document.name}\0{document.text}\0".encode())
        return {"kind": self.kind, "name": self.name, "sha256": digest.hexdigest()}

    def __iter__(self) -> Iterator[Document]:
        from pydoc_data.topics import topics  # half a megabyte of text: only when it is asked for

        self.n_undecodable_bytes = 0
        for name in sorted(topics):
            yield Document(name, topics[name])


class _File(Corpus):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.name = path.name

    def identity(self) -> dict[str, Any]:
        """See Corpus.identity."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"kind": self.kind, "name": self.name, "sha256": digest}

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines, without their ends."""
        self.n_undecodable_bytes = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                yield number, self._decode(content.rstrip(b"\r\n"))

    def _decode(self, data: bytes) -> str:
        """UTF-8, with each byte that does not decode as U+FFFD, and counted."""
        return self._clean(data.decode(errors="surrogateescape"))

    def _clean(self, text: str) -> str:
        """Surrogates become U+FFFD and are counted: they stand for undecodable bytes, or JSON had them alone."""
        cleaned, n = _SURROGATES.subn(REPLACEMENT, text)
        self.n_undecodable_bytes += n
        return cleaned


class TextFile(_File):
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


class JsonLines(_File):
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
        text = fields.pop(self.text_field, None)
        if not isinstance(text, str):
            known = ", ".join(sorted(fields)) or "none"
            raise InputError(
                f"{where} has no text in its field {self.text_field!r}",
                f"Expected a string there; other fields of this line: {known}",
                "Name the field that holds the text: --field NAME",
            )
        name = next((fields[key] for key in ("id", "title") if isinstance(fields.get(key), str)), f"line {number}")
        return Document(name, text, fields)

    def _clean_all(self, value: Any) -> Any:
        """Every string in a JSON value, names of fields included, cleaned."""
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._clean_all(item) for item in value]
        if isinstance(value, dict):
            return {self._clean(name): self._clean_all(item) for name, item in value.items()}
        return value
