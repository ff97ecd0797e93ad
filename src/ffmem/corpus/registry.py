"""The one table of what a corpus may be: what a user types -> its reader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ffmem.corpus.compression import COMPRESSIONS
from ffmem.corpus.documents import Corpus, PythonDocs
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
    open: Callable[[Path, str], File]
    """Makes the reader, from a path and the field that holds the text."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Every way that their names may end."""
        return (self.suffix, *(self.suffix + compression for compression in self.compressions))


FILE_KINDS = (
    FileKind(TextFile.kind, ".txt", COMPRESSIONS, lambda path, _: TextFile(path)),
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


def open_corpus(name: str, field: str = "text") -> Corpus:
    """The corpus that a name stands for.

    Args:
        name: ``topics``, ``python-docs``, the path of a file, a pattern of paths, ``hf:NAME``, or ``-``; see
            docs/reference/corpora.md.
        field: where rows have fields, the one that holds the text.

    Raises:
        InputError: no such corpus; the message lists what there is.
    """
    if name == PythonDocs.name:
        return PythonDocs()
    if name == Topics.name:
        return Topics()
    if name == StandardInput.name:
        return StandardInput(field)
    if name.startswith(PREFIX):
        return HubDataset(name, field)
    if is_pattern(name):
        return Glob(name, lambda path: _open_file(path, field))
    path = Path(name)
    if path.is_dir():
        raise InputError(
            f"the corpus {name} is a folder",
            _ACCEPTED,
            f"Name the files in it with a pattern, in quotes: '{path / '**' / '*.txt'}'",
        )
    return _open_file(path, field)


def _open_file(path: Path, field: str) -> File:
    kind = next((kind for kind in FILE_KINDS if path.name.endswith(kind.suffixes)), None)
    if kind is None:
        what = f"{path} is of no known kind" if path.exists() else f"no corpus is called {str(path)!r}"
        raise InputError(what, _ACCEPTED, "For example: ffmem index MODEL notes.txt --out DIR")
    if not path.is_file():
        raise InputError(f"the corpus {path} does not exist", _ACCEPTED, "Check the path")
    return kind.open(path, field)
