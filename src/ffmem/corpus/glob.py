"""Many files at once."""

import glob
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.encodings import UTF_8, readable
from ffmem.corpus.files import File, encoding_identity
from ffmem.errors import InputError
from ffmem.json_values import JsonObject


class Glob(Corpus):
    """All files that match a pattern, in order of their paths.

    Args:
        pattern: with ``*``, ``?`` and ``[...]``; ``**`` stands for any folders.
        open_file: makes the reader of one file.
        encoding: the one that they are opened with.

    Raises:
        InputError: no file matches.
    """

    kind = "files"

    def __init__(self, pattern: str, open_file: Callable[[Path], File], encoding: str = UTF_8) -> None:
        super().__init__()
        self.name, self._encoding = readable(pattern), encoding
        root = _fixed_part(pattern)
        found = {Path(name) for name in glob.iglob(pattern, recursive=True)}
        paths = {path.relative_to(root).as_posix(): path for path in found if path.is_file()}
        if not paths:
            raise InputError(
                f"no file matches {pattern!r}",
                "Expected a pattern of at least one file",
                "Check it with ls, and put it into quotes, so that the shell leaves it as it is",
            )
        self._files: Sequence[tuple[str, File]] = [(name, open_file(paths[name])) for name in sorted(paths)]

    def identity(self) -> JsonObject:
        """See Corpus.identity. The hash is over each file's identity and its path below the pattern's fixed part."""
        digest = hashlib.sha256()
        for name, file in self._files:
            own = file.identity()
            digest.update(f"{name}\0{own['sha256']}\0{own.get('field', '')}\0".encode(errors="surrogateescape"))
        decided = {"kind": self.kind, "name": self.name, "n_files": len(self._files), "sha256": digest.hexdigest()}
        return decided | encoding_identity(self._encoding)

    def check_unchanged(self) -> None:
        """See Corpus.check_unchanged."""
        for _, file in self._files:
            file.check_unchanged()

    def n_bytes(self) -> int | None:
        """See Corpus.n_bytes."""
        sizes = [file.n_bytes() for _, file in self._files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = self.n_lines = 0
        for name, file in self._files:
            n_bad, n_lines = self.n_undecodable_bytes, self.n_lines
            for document in file:
                self.n_undecodable_bytes, self.n_lines = n_bad + file.n_undecodable_bytes, n_lines + file.n_lines
                yield Document(f"{readable(name)}: {document.name}", document.text, document.metadata)
            self.n_undecodable_bytes, self.n_lines = n_bad + file.n_undecodable_bytes, n_lines + file.n_lines


def is_pattern(name: str) -> bool:
    """Whether a name stands for the files that match it."""
    return glob.has_magic(name) and not Path(name).exists()


def _fixed_part(pattern: str) -> Path:
    """The folders before the first part that is a pattern."""
    parts = Path(pattern).parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
