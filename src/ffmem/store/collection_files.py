"""Where the collections of an index are kept, and who may change them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ffmem.errors import InputError, StoreError
from ffmem.store.collections import (
    MAX_FILE_BYTES,
    MAX_ITEMS,
    Collection,
    Origin,
    check_collection_name,
    check_item,
    format_collection,
    parse_collection,
)
from ffmem.store.files import atomic_write, disk_errors
from ffmem.store.paths import StorePaths

if TYPE_CHECKING:
    from ffmem.store.reader import Index

_PATIENCE_S = 30
"""For others who write; a change takes milliseconds."""


@dataclass(frozen=True)
class Kept:
    """A collection as its file holds it."""

    collection: Collection
    revision: str
    """Of the file's content: the same content, the same revision."""


class Changed(Exception):  # noqa: N818 (it says what happened)
    """Somebody else has changed the collection meanwhile; holds what it is now, None if it is gone."""

    def __init__(self, current: Kept | None) -> None:
        super().__init__("somebody else has changed this collection since it was shown here")
        self.current = current


class Collections:
    """The collections beside an index.

    Args:
        index: whose they are.
    """

    def __init__(self, index: "Index") -> None:
        self.index = index
        self.origin = Origin.of(index)
        self._folder = StorePaths(index.folder).collections

    def names(self) -> list[str]:
        """Those there are, in order; a file whose name is none of a collection is no one's."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                check_collection_name(path.stem)
            except InputError:
                continue
            if path.is_file():
                found.append(path.stem)
        return sorted(found)

    def load(self, name: str) -> Kept:
        """A collection of this index by its name.

        Raises:
            InputError: no such name (those that there are are listed), or it is of another model.
            StoreError: its file is damaged.
        """
        check_collection_name(name)
        kept = self._read(name)
        if kept is None:
            raise self._missing(name)
        return kept

    def check(self, name: str) -> None:
        """Refuse a collection with cells that this index does not have.

        Raises:
            InputError: it has some, or is of another model.
            StoreError: its file is damaged.
        """
        self._check_cells(self.load(name).collection)

    def find(self, name_or_file: str) -> Collection:
        """A collection by its name, or by the path of a file, which has a slash or ends in .json.

        Raises:
            InputError: there is none, or it is of another model.
            StoreError: the file is damaged.
        """
        if not is_file(name_or_file):
            return self.load(name_or_file).collection
        found = read_file(Path(name_or_file))
        check_model(found, self.origin.weights, str(self.index.folder))
        return found

    def change(
        self, name: str, make: Callable[[Collection | None], Collection | None], revision: str | None = None
    ) -> Kept | None:
        """Change a collection while nobody else does.

        Args:
            name: its name.
            make: gives the new one from the one that there is (None: none); or None, which removes it.
            revision: what the change was made on, "" for none; None: on whatever there is.

        Raises:
            InputError: no valid name, an item that a file cannot hold, or a cell that the index does not have.
            Changed: somebody else was first.
            StoreError: the file is damaged, or cannot be written.
        """
        check_collection_name(name)
        with self._locked():
            kept = self._read(name)
            if revision is not None and revision != (kept.revision if kept else ""):
                raise Changed(kept)
            made = make(kept.collection if kept else None)
            path = self._folder / f"{name}.json"
            if made is None:
                with disk_errors(path):
                    path.unlink(missing_ok=True)
                return None
            if len(made.items) > MAX_ITEMS:
                raise InputError(
                    f"the collection {name} would have {len(made.items):,} items",
                    f"Expected at most {MAX_ITEMS:,}",
                    "Keep fewer cells, or write a selection: whole layers need no collection",
                )
            self._check_cells(made, kept.collection if kept else None)
            data = format_collection(made).encode()
            if len(data) > MAX_FILE_BYTES:
                raise InputError(
                    f"the file of {name} would have {len(data):,} bytes",
                    f"Expected at most {MAX_FILE_BYTES:,}",
                    "Keep fewer notes",
                )
            if parse_collection(data, str(path)) != made:  # what is written must be what is read
                raise ValueError(f"{path} would not be what was asked for")
            if kept is None or kept.collection != made:
                atomic_write(path, data)
            return self._read(name)

    def _check_cells(self, collection: Collection, before: Collection | None = None) -> None:
        """Refuse new items that cannot be in this index; those of a file that was made elsewhere may stay."""
        known = before.by_unit if before else {}
        for one in collection.items:
            if known.get(one.unit) == one:
                continue
            check_item(one)
            self.index.cells.place(one.cell)
            if one.sign not in (1, -1)[: self.index.n_signs]:
                raise InputError(
                    f"{one.cell} has sign {one.sign} in the collection {collection.name}",
                    "Expected 1: the cells of this model are not gated, and have one sign",
                    "Leave the sign out",
                )

    def _read(self, name: str) -> Kept | None:
        path = self._folder / f"{name}.json"
        if not path.is_file():
            return None
        data = _bytes_of(path)
        found = parse_collection(data, str(path))
        if found.name != name:
            raise StoreError(
                f"{path} is a collection that is called {found.name!r}",
                "Expected a file that has the name of its collection",
                f"Rename the file to {found.name}.json, or merge it: ffmem collect merge DIR {name} FILE",
            )
        check_model(found, self.origin.weights, str(self.index.folder))
        return Kept(found, hashlib.sha256(data).hexdigest()[:16])

    def _missing(self, name: str) -> InputError:
        return missing(name, str(self.index.folder), self.names())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with disk_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
            lock = FileLock(self._folder / ".lock", timeout=_PATIENCE_S)
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"{self._folder} is in use by somebody else",
                    f"Expected it to be free within {_PATIENCE_S} s",
                    "Try again",
                ) from error
        try:
            yield
        finally:
            lock.release()


def missing(name: str, where: str, known: list[str]) -> InputError:
    """The error for a name that no collection has."""
    return InputError(
        f"there is no collection {name[:100]!r} beside {where}",
        f"Expected one of: {', '.join(known)}" if known else "Expected a collection, and there is none yet",
        f"Make it: ffmem collect add {where} {name[:100]} CELLS",
    )


def is_file(name_or_file: str) -> bool:
    """Whether a text means a file, not the name of a collection beside an index."""
    return "/" in name_or_file or "\\" in name_or_file or name_or_file.endswith(".json")


def read_file(path: Path) -> Collection:
    """The collection of a file, wherever it lies and whatever it is of.

    Raises:
        InputError: there is no such file.
        StoreError: it is no collection, or damaged.
    """
    if not path.is_file():
        raise InputError(
            f"there is no file {path}",
            "Expected a collection: its name, or the path of its file",
            "Check the path; `ffmem collect list DIR` lists those beside an index",
        )
    return parse_collection(_bytes_of(path), str(path))


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise StoreError(
                f"{path} has {path.stat().st_size:,} bytes",
                f"Expected a collection of at most {MAX_FILE_BYTES:,}",
                "Remove it: it is none",
            )
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}",
            "Expected a file as `ffmem collect` writes it",
            "Check its permissions",
        ) from error


def check_model(collection: Collection, weights: str, where: str) -> None:
    """Refuse a collection of another model, whose cells mean nothing here.

    Raises:
        InputError: its weights are others.
    """
    if collection.origin.weights != weights:
        raise InputError(
            f"the collection {collection.name} is of another model: {collection.origin.model}, "
            f"weights {collection.origin.weights[:12]}",
            f"Expected weights {weights[:12]}, which {where} is of: cell ids mean nothing in another model",
            "Use it with an index of its own model",
        )


def other_text(collection: Collection, origin: Origin) -> str:
    """What is to be said of a collection that was made with another text, or other options; empty if it was not."""
    if collection.origin.corpus_sha256 != origin.corpus_sha256:
        return (
            f"{collection.name} was made with another text, {collection.origin.corpus}, not {origin.corpus}: the cells are "
            "the same, what triggers them here may not be what its notes were written about"
        )
    if collection.origin.id != origin.id:
        return f"{collection.name} was made with another index of the same model and text ({collection.origin.id})"
    return ""
