"""Keep named lists of cells with notes: made from cells or answers, shared as files, combined, compared, exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

import ffmem
from ffmem import render
from ffmem.cli.app import FLAT, Count, Json, app, show
from ffmem.cli.options import IndexFolder, IndexModelOptions, MovedModel
from ffmem.errors import FfmemError, InputError
from ffmem.names import collection_queries
from ffmem.names.collection_lines import Form, export_collection, lines_of
from ffmem.names.collections import (
    SetOperation,
    adding,
    combine,
    compare_collections,
    compare_in,
    notes_on,
    removing,
)
from ffmem.store.collection_cells import cells_of, selected
from ffmem.store.collection_files import Collections, Kept, other_text
from ffmem.store.collections import MAX_ITEMS, Item, Note
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index, open_index

collect = App(
    name="collect",
    help=__doc__,
    default_parameter=app.default_parameter,  # commands inherit it, the reference does not
)
Name = Annotated[str, Parameter(help="Name of a collection: a lower-case letter, then letters, digits, - and _.")]
Said = Annotated[str | None, Parameter(help="What is to be said of each of these cells.")]
NameOrFile = Annotated[str, Parameter(help="Name of a collection beside the index, or the path of a file.")]


@collect.command
def add(
    folder: IndexFolder,
    name: Name,
    /,
    *cells: str,
    sign: int = 1,
    note: Said = None,
    author: str = "",
    tag: list[str] | None = None,
    description: str | None = None,
    json: Json = False,
) -> None:
    """Add cells to a collection, which is made if there is none; of a cell that it has, add the note and the tags.

    Parameters
    ----------
    cells
        L9.2997, L9.0-511, L3, 1% or @OTHER: all that a selection of cells may be.
    sign
        1, or -1 for the cells with their negative coefficients (gated cells only).
    author
        Who says it.
    tag
        A tag for each of these cells; may be given several times.
    description
        What the collection is; replaces what was said before.
    """
    collections = Collections(ffmem.open_index(folder))
    if not cells and description is None:
        mend = f"Write: ffmem collect add {folder} {name} L0.0"
        raise InputError("no cell is given", "Expected cells, or a --description", mend)
    notes = () if note is None else (Note(author, note),)
    items = [Item(cell, sign, notes, tuple(tag or ())) for cell in _chosen(collections.index, cells)]
    _show_kept(collections, collections.change(name, adding(name, collections.origin, items, description)), json)


@collect.command
def remove(
    folder: IndexFolder,
    name: Name,
    /,
    *cells: str,
    sign: int | None = None,
    whole: bool = False,
    json: Json = False,
) -> None:
    """Take cells out of a collection, with what was said of them; or remove it.

    Parameters
    ----------
    cells
        As for `add`. Of these, the cells that it has.
    sign
        Only with this sign.
    whole
        Remove the whole collection and its file.
    """
    collections = Collections(ffmem.open_index(folder))
    before = collections.load(name).collection
    if whole == bool(cells):
        raise InputError(
            "cells and --whole are both given" if whole else "no cell is given",
            "Expected either cells, or --whole for the collection itself",
            f"Write: ffmem collect remove {folder} {name} --whole",
        )
    if whole:
        collections.change(name, lambda _: None)
        show({"removed": name} if json else f"{name}: removed, with {len(before.items):,} items")
        return
    named = _chosen(collections.index, cells)
    units = [one for one in before.by_unit if one[0] in set(named) and sign in (None, one[1])]
    units = units or [(named[0], sign or 1)]  # the change says that it is not there
    _show_kept(collections, collections.change(name, removing(name, units)), json)


@collect.command(name="list")
def list_(folder: IndexFolder, /, *, json: Json = False) -> None:
    """List the collections of an index."""
    collections = Collections(ffmem.open_index(folder))
    rows = []
    for name in collections.names():
        try:
            found = collections.load(name).collection
            rows.append(
                {
                    "name": name,
                    "n_items": len(found.items),
                    "description": found.description,
                    "query": found.query,
                    "note": other_text(found, collections.origin),
                    "problem": "",
                }
            )
        except FfmemError as error:
            rows.append(
                {"name": name, "n_items": None, "description": "", "query": None, "note": "", "problem": str(error)}
            )
    show(rows if json else render.collections(rows))


@collect.command(name="show")
def show_(folder: IndexFolder, name: NameOrFile, /, *, limit: Count = 50, json: Json = False) -> None:
    """Show a collection: its cells with their notes, and what the index knows of each.

    Parameters
    ----------
    limit
        At most this many cells.
    """
    collections = Collections(ffmem.open_index(folder))
    found = collections.find(name)
    note = other_text(found, collections.origin)
    lines = list(lines_of(collections.index, found.items[:limit]))
    show(found.to_json() | {"note": note} if json else render.collection(found, lines, note))


@collect.command
def diff(folder: IndexFolder, first: NameOrFile, second: str, /, *, json: Json = False) -> None:
    """Show what two collections differ in, or how the cells of one differ between two indexes.

    Parameters
    ----------
    second
        Another collection, its name or its file; or the folder of another index with the same layers.
    """
    collections = Collections(ffmem.open_index(folder))
    before = collections.find(first)
    if StorePaths(Path(second)).manifest.exists():
        compared = compare_in(before, collections.index, open_index(second))
        show(compared if json else render.compared_collection(compared))
        return
    after = collections.find(second)
    found, notes = compare_collections(before, after), notes_on((before, after), collections.origin)
    show(found.to_json() | {"notes": notes} if json else render.collection_diff(found, notes))


@collect.command
def merge(
    folder: IndexFolder,
    name: Name,
    /,
    *sources: str,
    how: SetOperation = "union",
    description: str | None = None,
    replace: bool = False,
    json: Json = False,
) -> None:
    """Make one collection of several, of this index or of files: with the notes and tags of all, and who said them.

    Parameters
    ----------
    sources
        Names or files; one of them may be NAME itself.
    how
        union: all cells; intersection: those that all have; difference: those of the first that no other has.
    description
        By default the lines of all descriptions.
    replace
        Replace a collection of this name that is none of the sources.
    """
    collections = Collections(ffmem.open_index(folder))
    if not sources:
        raise InputError("no collection is given to merge", "Expected names or files", "Write them behind the new name")
    found = [collections.find(one) for one in sources]
    if name in collections.names() and name not in sources and not replace:
        raise InputError(
            f"there is a collection {name} already",
            "Expected a new name, or that of one of the sources",
            f"Name it too, to keep what it has: ffmem collect merge {folder} {name} {name} ...; or write --replace",
        )
    made = combine(name, found, collections.origin, how, description)
    notes = notes_on(found, collections.origin)
    _show_kept(collections, collections.change(name, lambda _: made), json, notes)


@collect.command
def refresh(
    folder: IndexFolder,
    name: Name,
    /,
    *,
    write: bool = False,
    model: MovedModel = None,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Ask the question of a collection again, and show what changed; of one without, which cells this index lacks.

    Parameters
    ----------
    write
        Keep what is found. Cells with notes or tags stay, whatever the answer.
    """
    index = ffmem.open_index(folder)
    collections = Collections(index)
    kept = collections.load(name)
    query = kept.collection.query
    loaded = None
    if query is not None and collection_queries.needs_model(query):
        loaded = options.load(index, model)
    found = collection_queries.refresh(index, kept.collection, loaded)
    if write:
        collections.change(name, lambda _: found.refreshed, kept.revision)
    show({n: v for n, v in found.to_json().items() if n != "refreshed"} if json else render.refreshed(found, write))


@collect.command
def export(
    folder: IndexFolder,
    name: NameOrFile,
    /,
    *,
    out: Path,
    form: Form | None = None,
    model_id: str | None = None,
    layer_id: str = "-mlp",
    json: Json = False,
) -> None:
    """Write a collection as a table for other tools, or as a list for Neuronpedia.

    Parameters
    ----------
    out
        The file.
    form
        By default what the file's name ends in: csv, json or parquet (which needs the extra parquet).
    model_id
        For neuronpedia: how the model is called there; by default as here.
    layer_id
        For neuronpedia: what follows the number of a layer there.
    """
    index = ffmem.open_index(folder)
    found = Collections(index).find(name)
    chosen: str = form or out.suffix.lower().lstrip(".")
    called = model_id or index.manifest.identity.model.name.rsplit("/", 1)[-1]
    n = export_collection(index, found, out, chosen, called, layer_id)  # type: ignore[arg-type] # checked there
    show({"file": str(out), "n_items": n} if json else f"{out}: {n:,} items")


def _chosen(index: Index, cells: Sequence[str]) -> list[ffmem.CellId]:
    """The cells that the parts of a selection name, in the order of the index."""
    if not cells:
        return []
    found = cells_of(index, selected(index, ",".join(cells)))
    if len(found) > MAX_ITEMS:
        raise InputError(
            f"{len(found):,} cells are named",
            f"Expected at most {MAX_ITEMS:,}",
            "Name fewer: layers need no collection",
        )
    return found


def _show_kept(collections: Collections, kept: Kept | None, json: bool, notes: Sequence[str] = ()) -> None:
    assert kept is not None
    found = kept.collection
    noted = tuple(notes) or tuple(filter(None, [other_text(found, collections.origin)]))
    told = {"name": found.name, "n_items": len(found.items), "revision": kept.revision, "notes": noted}
    show(told if json else render.kept_collection(found, noted))
