"""Files of text and of JSON lines."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ffmem.corpus.compression import COMPRESSED, COMPRESSIONS
from ffmem.corpus.documents import MAX_DEPTH, MAX_DIGITS, Corpus, Document, Rows, check_depth
from ffmem.corpus.encodings import UTF_8, read_lines, readable
from ffmem.corpus.lines import is_blank
from ffmem.errors import InputError
from ffmem.json_values import JsonObject

_JSON_SPACE = " \t\r\n"


Look = tuple[int, int, int]
"""What a file looks like without reading it: its size, time and place."""


def look_of(path: Path) -> Look | None:
    """What a file looks like; None if it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def changed(path: Path) -> InputError:
    """The error of a corpus that is no longer what its identity says."""
    return InputError(
        f"the corpus {path} was changed, or removed, while it was read",
        "Expected files that stay as they are until their text is written: the index names them by their hash",
        "Run the command again when nothing writes to them, or index a copy",
    )


class File(Corpus):
    """One file; a document knows nothing of its path."""

    path: Path
    _told: "Look | None" = None
    """When its identity was told."""

    def identity(self) -> JsonObject:
        """See Corpus.identity. The hash is that of the file's bytes, compressed as they are."""
        self._told = look_of(self.path)
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"kind": self.kind, "name": self.name, "sha256": digest}

    def check_unchanged(self) -> None:
        """See Corpus.check_unchanged."""
        if self._told is not None and look_of(self.path) != self._told:
            raise changed(self.path)

    def n_bytes(self) -> int | None:
        """See Corpus.n_bytes."""
        try:
            size = self.path.stat().st_size
        except OSError:  # it is gone, which reading it tells
            return None
        return size * (COMPRESSED if self.path.suffix in (*COMPRESSIONS, ".parquet") else 1)


def encoding_identity(encoding: str) -> dict[str, str]:
    """What an encoding adds to the identity of a corpus: nothing if it is UTF-8."""
    return {} if encoding == UTF_8 else {"encoding": encoding}


class _LineFile(File):
    path: Path
    encoding: str
    told: str
    """What messages call it."""

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines, without their ends; each byte that does not decode as U+FFFD, and counted."""
        self.n_undecodable_bytes = self.n_lines = 0
        for number, line in read_lines(self.path, self.told, self.encoding):
            self.n_lines = number
            yield number, self._clean(line)


class TextFile(_LineFile):
    """A text file: a document a paragraph, paragraphs being parted by blank lines.

    Args:
        path: the file.
        encoding: as `encodings.encoding_named` spells it.
        told: what messages call it, if not by its path.
    """

    kind = "text"

    def __init__(self, path: Path, encoding: str = UTF_8, told: str = "") -> None:
        super().__init__()
        self.path, self.name, self.encoding, self.told = path, readable(path.name), encoding, told or str(path)

    def identity(self) -> JsonObject:
        """See Corpus.identity."""
        return super().identity() | encoding_identity(self.encoding)

    def __iter__(self) -> Iterator[Document]:
        n_paragraphs, lines = 0, []
        for _, line in self._lines():
            if not is_blank(line):
                lines.append(line)
            elif lines:
                n_paragraphs += 1
                yield Document(f"paragraph {n_paragraphs}", "\n".join(lines))
                lines = []
        if lines:
            yield Document(f"paragraph {n_paragraphs + 1}", "\n".join(lines))


class JsonLines(_LineFile, Rows):
    """A file of JSON objects, one a line: a document each, its text in one field.

    Args:
        path: the file.
        text_field: the field.
        encoding: as `encodings.encoding_named` spells it.
        told: what messages call it, if not by its path.
    """

    kind = "jsonl"

    def __init__(self, path: Path, text_field: str, encoding: str = UTF_8, told: str = "") -> None:
        Rows.__init__(self, text_field, encoding)
        self.path, self.name, self.told = path, readable(path.name), told or str(path)

    def identity(self) -> JsonObject:
        """See Corpus.identity."""
        return super().identity() | {"field": self.text_field} | encoding_identity(self.encoding)

    def __iter__(self) -> Iterator[Document]:
        for number, line in self._lines():
            if line.strip(_JSON_SPACE):
                where = f"line {number} of {self.told}"
                yield self._document(self._fields(line, where), where, f"line {number}")

    def _fields(self, line: str, where: str) -> JsonObject:
        try:
            fields = json.loads(
                line,
                parse_constant=_no_constant,
                parse_float=_finite,
                parse_int=_short_integer,
                object_pairs_hook=self._unique,
            )
        except _UnheldError as error:
            raise InputError(
                f"{where} has {error}", "Expected values that every program that reads an index can read", error.mend
            ) from error
        except RecursionError as error:
            raise InputError(
                f"{where} has lists or objects nested more than {MAX_DEPTH} deep",
                f"Expected at most {MAX_DEPTH}: not every program that reads an index can read deeper ones",
                "Leave the field out, or put its value into a string",
            ) from error
        except ValueError as error:
            raise InputError(
                f"{where} is not JSON: {error}", "Expected one JSON object a line", "Correct the line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(f"{where} holds {type(fields).__name__}", "Expected a JSON object", "Correct the line")
        if "\\ud" not in line and "\\uD" not in line:
            return fields
        check_depth(fields, where)
        return {name: self._clean_all(value) for name, value in fields.items()}

    def _unique(self, pairs: list[tuple[str, Any]]) -> JsonObject:
        """An object, its names cleaned; refused if that leaves one of them twice."""
        fields = {self._clean(name): value for name, value in pairs}
        if len(fields) != len(pairs):
            names = [self._clean(name) for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _UnheldError(f"the field {_short(twice)!r} twice", "Leave one of the two out, or rename it")
        return fields

    def _clean_all(self, value: Any) -> Any:
        """Every string in a JSON value cleaned; names of fields are already."""
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._clean_all(item) for item in value]
        if isinstance(value, dict):
            return {name: self._clean_all(item) for name, item in value.items()}
        return value


class _UnheldError(Exception):
    """JSON that an index cannot hold; says what."""

    def __init__(self, got: str, mend: str) -> None:
        super().__init__(got)
        self.mend = mend


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _UnheldError(
            f"the number {_short(digits)}, beyond the largest float64 (1.8e308)", "Put the number into a string"
        )
    return value


def _short_integer(digits: str) -> int:
    n = len(digits.removeprefix("-"))
    if n > MAX_DIGITS:
        raise _UnheldError(f"a whole number of {n:,} digits", f"Put it into a string: at most {MAX_DIGITS} are read")
    return int(digits)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
