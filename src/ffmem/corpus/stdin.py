"""Standard input, which can be read but once: kept in a file until the index is finished."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.encodings import UTF_8, read_lines
from ffmem.corpus.files import JsonLines, TextFile, encoding_identity
from ffmem.corpus.lines import is_blank
from ffmem.errors import InputError
from ffmem.json_values import JsonObject

_CHUNK = 1 << 20
_TOLD = "standard input"


class StandardInput(Corpus):
    """Text or JSON lines from standard input.

    JSON lines if the first line that is not blank is a JSON object, or if another field than ``text`` was asked for;
    otherwise text, a document a paragraph.
    """

    kind = "stdin"
    name = "-"

    def __init__(self, text_field: str, encoding: str = UTF_8) -> None:
        super().__init__()
        self._field, self._encoding = text_field, encoding
        self._path = Path()
        self._identity: JsonObject = {}

    def settle(self, folder: Path, begun: JsonObject | None) -> None:
        """See Corpus.settle: keeps the input, or goes on with what an earlier run kept.

        A build that has begun needs no input any more. If there is some, it must be the same: its hash is taken.

        Raises:
            InputError: there is nothing to read.
        """
        self._path = folder / "stdin"
        source = _waiting_input()
        first = source.read(_CHUNK) if source else b""
        if begun is not None:
            given = {"sha256": _copy(first, source, None)} if source and first else {}
            begun = {name: value for name, value in begun.items() if name != "encoding"}
            own = {"kind": self.kind, "name": self.name}
            self._identity = begun | own | given | self._format(begun.get("format") == "jsonl")
            return
        if source and first:
            folder.mkdir(exist_ok=True)
            half = folder / ".stdin.tmp"
            with half.open("wb") as file:
                _copy(first, source, file)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)
        elif not self._path.exists():
            raise InputError(
                "standard input is empty",
                "Expected text there, or JSON lines, for the corpus -",
                "For example: zcat notes.txt.gz | ffmem index MODEL - --out DIR",
            )
        kept = TextFile(self._path).identity() | {"kind": self.kind, "name": self.name}
        self._identity = kept | self._format(self._begins_with_object())

    def _format(self, is_object: bool) -> JsonObject:
        if is_object or self._field != "text":
            return {"format": "jsonl", "field": self._field} | encoding_identity(self._encoding)
        return {"format": "text"} | encoding_identity(self._encoding)

    def _begins_with_object(self) -> bool:
        lines = (line for _, line in read_lines(self._path, _TOLD, self._encoding))
        line = next((line for line in lines if not is_blank(line)), "")
        try:
            return isinstance(json.loads(line, parse_int=str), dict)  # however many digits it has
        except RecursionError:
            return line.lstrip().startswith("{")
        except ValueError:
            return False

    def identity(self) -> JsonObject:
        """See Corpus.identity."""
        return self._identity

    def n_bytes(self) -> int | None:
        """See Corpus.n_bytes."""
        return self._path.stat().st_size if self._path.is_file() else None

    def __iter__(self) -> Iterator[Document]:
        is_jsonl = self._identity["format"] == "jsonl"
        text = TextFile(self._path, self._encoding, _TOLD)
        file = JsonLines(self._path, self._field, self._encoding, _TOLD) if is_jsonl else text
        for document in file:
            self.n_undecodable_bytes, self.n_lines = file.n_undecodable_bytes, file.n_lines
            yield document
        self.n_undecodable_bytes, self.n_lines = file.n_undecodable_bytes, file.n_lines


def _waiting_input() -> IO[bytes] | None:
    """Standard input, unless there is none or someone would have to type it."""
    return None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer


def _copy(first: bytes, source: IO[bytes], target: IO[bytes] | None) -> str:
    """Read to the end; return the SHA-256."""
    digest = hashlib.sha256()
    data = first
    while data:
        digest.update(data)
        if target:
            target.write(data)
        data = source.read(_CHUNK)
    return digest.hexdigest()
