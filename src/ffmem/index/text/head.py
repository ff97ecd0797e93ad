"""The beginning of a text: what a certificate is measured on, so that it need not wait for the rest. Knows no model."""

import json
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from ffmem.options import parse_split
from ffmem.store.files import damaged, write_json
from ffmem.store.manifest import Manifest
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
    """Keeps the head of a text while it is written, and puts it into a file as soon as it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._texts: list[str] = []
        self._n_characters = 0
        self.has_pieces = False
        """Whether some sentence so far may be a piece of a longer one."""
        self.n_sentences: int | None = None
        """As many as the head has; None until it is whole."""

    def add(self, text: str) -> None:
        """The next indexed sentence."""
        if self.n_sentences is not None:
            return
        self._texts.append(text)
        self._n_characters += len(text)
        if len(self._texts) >= HEAD_SENTENCES or self._n_characters >= HEAD_CHARACTERS:
            self.finish()

    def finish(self) -> None:
        """No more sentences come."""
        if self.n_sentences is None:
            write_json(head_path(self._folder), asdict(Head(tuple(self._texts), self.has_pieces)))
            self.n_sentences, self._texts = len(self._texts), []


def head_path(folder: Path) -> Path:
    """Where the head of the text in a folder lies while an index is built."""
    return folder / "head.json"


def read_head(folder: Path) -> Head:
    """The head of a text that is being written."""
    found = json.loads(head_path(folder).read_bytes())
    return Head(tuple(found["texts"]), found["has_pieces"])


def may_have_pieces(manifest: Manifest) -> bool:
    """Whether some sentences of a finished index may be pieces of longer ones."""
    return manifest.counts.n_windows > 0 or parse_split(manifest.options.split) is not None


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
