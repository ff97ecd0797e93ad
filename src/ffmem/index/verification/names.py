"""Checks what is kept beside a finished index, and changes: names of cells, lists of them, pictures of all of them."""

from collections.abc import Iterator

from ffmem.errors import FfmemError
from ffmem.store.atlas import layouts_of, read_atlas
from ffmem.store.collection_files import Collections
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index


def wrong_names(index: Index) -> Iterator[str]:
    """What is wrong with the labels, collections and pictures beside an index; nothing where there are none."""
    try:
        index.names.check()
        for problem in index.names.wrong():
            yield f"{StorePaths(index.folder).labels.name}: {problem}"
    except FfmemError as error:
        yield str(error)
    collections = Collections(index)
    for name in collections.names():
        try:
            collections.check(name)
        except FfmemError as error:
            yield f"the collection {name}: {error}"
    for by in layouts_of(index):
        try:
            read_atlas(index, by)
        except FfmemError as error:
            yield str(error)
