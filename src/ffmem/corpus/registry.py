"""The one table of what a corpus may be: what a user types -> its reader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ffmem.corpus.compression import COMPRESSIONS
from ffmem.corpus.documents import Corpus, PythonDocs
from ffmem.corpus.encodings import UTF_8, encoding_named
from ffmem.corpus.files import File, JsonLines, TextFile
from ffmem.corpus.glob import Glob, is_pattern
from ffmem.corpus.hub import PREFIX, HubDataset
from ffmem.corpus.parquet import Parquet
from ffmem.corpus.stdin import StandardInput
from ffmem.corpus.topics import Topics
from ffmem.errors import InputError


@dataclass(frozen=True)
class FileKind:
    """Files that are read the same way."""

    name: str
    """As `Corpus.kind`."""
    suffix: str
    """How their names end."""
    compressions: tuple[str, ...]
    """What may follow the suffix."""
    open: Callable[[Path, str, str], File]
    """Makes the reader, from a path, the field that holds the text, and the encoding."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Every way that their names may end."""
        return (self.suffix, *(self.suffix + compression for compression in self.compressions))


FILE_KINDS = (
    FileKind(TextFile.kind, ".txt", COMPRESSIONS, lambda path, _, encoding: TextFile(path, encoding)),
    FileKind(JsonLines.kind, ".jsonl", COMPRESSIONS, JsonLines),
    FileKind(Parquet.kind, ".parquet", (), Parquet),
)

OTHER_KINDS = {
    PythonDocs.kind: "python-docs",
    Topics.kind: "topics",
    Glob.kind: "'PATTERN'",
    HubDataset.kind: "hf:NAME[:CONFIG][:SPLIT][:FIELD]",
    StandardInput.kind: "-",
}
"""What a user types for the kinds that are no file."""

_SUFFIXES = ", ".join(suffix for kind in FILE_KINDS for suffix in kind.suffixes)
_ACCEPTED = (
    f"Expected topics, python-docs, a file ({_SUFFIXES}), a pattern of such files, hf:NAME, or - for standard input"
)


def open_corpus(name: str, field: str = "text", encoding: str = UTF_8) -> Corpus:
    """The corpus that a name stands for.

    Args:
        name: ``topics``, ``python-docs``, the path of a file, a pattern of paths, ``hf:NAME``, or ``-``; see
            docs/reference/corpora.md.
        field: where rows have fields, the one that holds the text.
        encoding: of text, of JSON lines, and of text that a table holds as bytes.

    Raises:
        InputError: no such corpus, or no such encoding; the message lists what there is.
    """
    encoding = encoding_named(encoding)
    if name == PythonDocs.name:
        return PythonDocs()
    if name == Topics.name:
        return Topics()
    if name == StandardInput.name:
        return StandardInput(field, encoding)
    if name.startswith(PREFIX):
        return HubDataset(name, field, encoding)
    if is_pattern(name):
        return Glob(name, lambda path: _open_file(path, field, encoding), encoding)
    path = Path(name)
    if path.is_dir():
        raise InputError(
            f"the corpus {name} is a folder",
            _ACCEPTED,
            f"Name the files in it with a pattern, in quotes: '{path / '**' / '*.txt'}'",
        )
    return _open_file(path, field, encoding)


def _open_file(path: Path, field: str, encoding: str) -> File:
    kind = next((kind for kind in FILE_KINDS if path.name.endswith(kind.suffixes)), None)
    if kind is None:
        what = f"{path} is of no known kind" if path.exists() else f"no corpus is called {str(path)!r}"
        raise InputError(what, _ACCEPTED, "For example: ffmem index MODEL notes.txt --out DIR")
    if not path.is_file():
        raise InputError(f"the corpus {path} does not exist", _ACCEPTED, "Check the path")
    return kind.open(path, field, encoding)
