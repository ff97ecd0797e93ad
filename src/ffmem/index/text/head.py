"""The beginning of a text: what a certificate is measured on, so that it need not wait for the rest. Knows no model."""

import json
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from ffmem.options import IndexOptions, parse_split
from ffmem.store.files import damaged, write_json
from ffmem.store.text import TextReader

HEAD_SENTENCES = 20_000
HEAD_CHARACTERS = 2_000_000
"""A head ends with the sentence with which it has as many of either; or with the text."""


@dataclass(frozen=True)
class Head:
    """The first indexed sentences of a text."""

    texts: tuple[str, ...]
    """Of each, in order of id."""
    has_pieces: bool
    """Whether some of them may be pieces of longer sentences, whose tokens alone may be others."""


class HeadWriter:
    """Keeps the head of a text while it is written, and puts it into a file as soon as it is whole.

    Args:
        folder: of the text.
        has_pieces: whether its sentences may be pieces of longer ones; may become true later.
    """

    def __init__(self, folder: Path, has_pieces: bool = False) -> None:
        self._path = _path(folder)
        self._texts: list[str] = []
        self._n_characters = 0
        self.has_pieces = has_pieces
        self.is_whole = False
        """Whether it is in its file."""

    def add(self, text: str) -> None:
        """The next indexed sentence."""
        if self.is_whole:
            return
        self._texts.append(text)
        self._n_characters += len(text)
        if len(self._texts) >= HEAD_SENTENCES or self._n_characters >= HEAD_CHARACTERS:
            write_json(self._path, asdict(Head(tuple(self._texts), self.has_pieces)))
            self.is_whole, self._texts = True, []

    def remove(self) -> None:
        """The text is whole, and so has its head itself."""
        self._path.unlink(missing_ok=True)


def _path(folder: Path) -> Path:
    return folder / "head.json"


def read_head(folder: Path) -> Head:
    """The head of a text that is being written.

    Raises:
        FileNotFoundError: the text has become whole.
    """
    found = json.loads(_path(folder).read_bytes())
    return Head(tuple(found["texts"]), found["has_pieces"])


def may_have_pieces(n_windows: int, options: IndexOptions) -> bool:
    """Whether some sentences of a finished text may be pieces of longer ones.

    Args:
        n_windows: into which sentences were cut that were too long.
        options: that it was written with.
    """
    return n_windows > 0 or parse_split(options.split) is not None


def head_of(text: TextReader, has_pieces: bool) -> Head:
    """The head of a finished text.

    Args:
        text: the text.
        has_pieces: whether some of its sentences may be pieces of longer ones.

    Raises:
        StoreError: the text is damaged.
    """
    texts: list[str] = []
    n_characters = 0
    n = min(text.n_sentences, HEAD_SENTENCES)
    for (one,) in chain.from_iterable(text.rows(f"SELECT text FROM sentences WHERE id < {n} ORDER BY id", 1000)):
        if not isinstance(one, str):
            raise damaged(text.path, "a value has another type")
        texts.append(one)
        n_characters += len(one)
        if n_characters >= HEAD_CHARACTERS:
            break
    return Head(tuple(texts), has_pieces)
