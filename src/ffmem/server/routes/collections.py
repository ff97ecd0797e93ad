"""Collections: reading them, and changing them as the page or a program asks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.names.collections import adding, removing
from ffmem.server.answers import Missing, as_json, explorer_of, form, page
from ffmem.server.limits import MAX_ITEMS_SHOWN, MAX_ROWS
from ffmem.server.sharing.visitors import author_of
from ffmem.server.views.collections import (
    CollectionView,
    collection_names,
    collection_view,
    collections_view,
    items_from,
    kept_collection,
    linked_view,
    notes_of_form,
    units_in,
)
from ffmem.store.collection_files import Changed, Collections, Kept
from ffmem.store.collections import MAX_DESCRIPTION, Collection, Item, Note, check_collection_name, check_text

router = APIRouter()

Name = Annotated[str, Path(max_length=40, description="Name of a collection")]
Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS_SHOWN, description="At most so many items with what is known of them")]
Linked = Annotated[
    str | None, Query(max_length=8_000, description="Cells of a collection that is in the address: L0.3,-L1.5")
]
LinkName = Annotated[str, Query(max_length=40, description="Its name")]
About = Annotated[str, Query(max_length=1_000, description="Its description")]
Weights = Annotated[str, Query(max_length=64, description="The beginning of its model's hash")]
_Change = Callable[[Collection | None], Collection | None]


@router.get("/collections.json")
def collections_json(
    request: Request, cells: Linked = None, name: LinkName = "linked", about: About = "", weights: Weights = ""
) -> Response:
    """All collections of the index; or, with cells, the one that they make."""
    if cells is not None:
        return as_json(linked_view(explorer_of(request), cells, name, about, weights))
    return as_json(collections_view(explorer_of(request)))


@router.get("/collections", include_in_schema=False)
def collections_page(
    request: Request, cells: Linked = None, name: LinkName = "linked", about: About = "", weights: Weights = ""
) -> Response:
    """The same as a page."""
    if cells is not None:
        return _page(request, linked_view(explorer_of(request), cells, name, about, weights))
    return page(request, "collections.html", view=collections_view(explorer_of(request)))


@router.post("/collections", include_in_schema=False)
async def add_form(request: Request) -> Response:
    """Add cells to a collection, which is made if there is none, as a form asks."""
    fields = await form(request, joined="cells")
    name = fields.get("new", "").strip() or fields.get("name", "").strip()
    return await run_in_threadpool(_add, request, name, fields)


def _add(request: Request, name: str, fields: dict[str, str]) -> Response:
    explorer = explorer_of(request)
    explorer.check_writable()
    said = fields.get("note", "").replace("\r\n", "\n").strip()
    notes = (Note(fields.get("author", "").strip(), said),) if said else ()
    tags = tuple(fields.get("tags", "").replace(",", " ").split())
    signs = {"-1": -1}
    cells = fields.get("cells", "").strip() or fields.get("otherwise", "")
    units = units_in(explorer, cells, MAX_ROWS) if cells.strip() else []
    items = [Item(cell, signs.get(fields.get("sign", ""), sign), notes, tags) for cell, sign in units]
    description = fields.get("description", "").replace("\r\n", "\n").strip() or None
    if description is not None:
        check_text(description, MAX_DESCRIPTION, "the description")
    collections = Collections(explorer.index)
    collections.change(name, _signed(adding(name, collections.origin, items, description)))
    if fields.get("back") == "cell" and units:
        return RedirectResponse(f"/cells/{units[0][0]}#collections", 303)
    return RedirectResponse(f"/collections/{name}", 303)


@router.get("/collections/{name}.json")
def collection_json(request: Request, name: Name, limit: Limit = 200) -> Response:
    """One collection: its file, its revision, and what is known of its first items."""
    return as_json(view_of(request, name, limit))


@router.get("/collections/{name}", include_in_schema=False)
def collection_page(request: Request, name: Name, limit: Limit = 200) -> Response:
    """The same as a page."""
    return _page(request, view_of(request, name, limit))


@router.put("/collections/{name}.json")
def save_json(
    request: Request,
    name: Name,
    body: Annotated[JsonObject, Body(description="revision (empty: a new one), items, description")],
) -> Response:
    """Keep a collection; 409 with the newer state if somebody else was first."""
    explorer = explorer_of(request)
    explorer.check_writable()
    items = items_from(explorer, body.get("items", ()))
    description = check_text(body.get("description", ""), MAX_DESCRIPTION, "the description")
    origin = Collections(explorer.index).origin

    def change(before: Collection | None) -> Collection:
        return replace(before or Collection(name, origin), items=items, description=description)

    return _json_change(request, name, change, body)


@router.delete("/collections/{name}.json")
def delete_json(
    request: Request, name: Name, body: Annotated[JsonObject, Body(description="revision of what is removed")]
) -> Response:
    """Remove a collection; 409 with the newer state if somebody else has changed it."""
    explorer_of(request).check_writable()
    _kept(request, name)
    return _json_change(request, name, lambda _: None, body)


@router.post("/collections/{name}", include_in_schema=False)
async def change_form(request: Request, name: Name) -> Response:
    """Change a collection as a form asks: what is said of an item, an item, the description, the whole."""
    fields = await form(request)
    return await run_in_threadpool(_change, request, name, fields)


def _change(request: Request, name: str, fields: dict[str, str]) -> Response:
    explorer = explorer_of(request)
    explorer.check_writable()
    _kept(request, name)
    revision, do = fields.get("revision", "-"), fields.get("do", "")
    try:
        Collections(explorer.index).change(name, _signed(_asked(request, name, do, fields)), revision)
    except Changed as error:
        return _conflict_page(request, name, fields, error.current)
    return RedirectResponse("/collections" if do == "delete" else f"/collections/{name}", 303)


def _asked(request: Request, name: str, do: str, fields: dict[str, str]) -> _Change:
    """The change that a form asks for."""
    if do == "delete":
        return lambda _: None
    if do == "describe":
        text = check_text(
            fields.get("description", "").replace("\r\n", "\n").strip(), MAX_DESCRIPTION, "the description"
        )
        return lambda before: replace(before, description=text) if before else None
    if do not in ("remove", "note"):
        raise InputError(
            f"the form asks for {do[:40]!r}",
            "Expected one of: note, remove, describe, delete",
            "Use the forms of the page",
        )
    units = units_in(explorer_of(request), fields.get("cell", ""))
    if len(units) > 1:
        raise InputError(f"the form names {len(units)} items", "Expected one", "Use the forms of the page")
    unit = units[0]
    if do == "remove":
        return removing(name, units)
    item = Item(*unit, tuple(notes_of_form(fields)), tuple(fields.get("tags", "").replace(",", " ").split()))
    return lambda before: (
        replace(before, items=tuple(item if one.unit == unit else one for one in before.items)) if before else None
    )


def _signed(change: _Change) -> _Change:
    """The same change; notes that it adds are by who has logged in, and those of others stay theirs."""

    def signed(before: Collection | None) -> Collection | None:
        after = change(before)
        if after is None:
            return None
        known = {(one.unit, note) for one in (before.items if before else ()) for note in one.notes}

        def own(item: Item) -> Item:
            notes = (
                note if (item.unit, note) in known else replace(note, author=author_of(note.author))
                for note in item.notes
            )
            return replace(item, notes=tuple(notes))

        return replace(after, items=tuple(map(own, after.items)))

    return signed


def _json_change(request: Request, name: str, change: _Change, body: JsonObject) -> Response:
    if not isinstance(body.get("revision"), str):
        raise InputError(
            "the change does not say on which revision it was made", "Expected a text", "Load the collection again"
        )
    explorer = explorer_of(request)
    try:
        kept = Collections(explorer.index).change(name, _signed(change), body["revision"])
    except Changed as error:
        current = None if error.current is None else collection_view(explorer, error.current, 200)
        return as_json({"error": {"kind": "Conflict", "message": str(error)}, "current": current}, 409)
    return as_json({"removed": name} if kept is None else collection_view(explorer, kept, 200))


def _conflict_page(request: Request, name: str, fields: dict[str, str], current: Kept | None) -> Response:
    """The page as it is now, with what was sent; to send it once more is to decide."""
    if current is None:
        return RedirectResponse("/collections", 303)
    return _page(request, collection_view(explorer_of(request), current, 200), 409, fields)


def _kept(request: Request, name: str) -> Kept:
    """The collection of that name; Missing if there is none."""
    explorer = explorer_of(request)
    try:
        check_collection_name(name)
        if name not in collection_names(explorer):
            return Collections(explorer.index).load(name)
    except InputError as error:
        raise Missing from error
    return kept_collection(explorer, name)


def view_of(request: Request, name: str, limit: int) -> CollectionView:
    """A collection, and what the index knows of its cells."""
    return collection_view(explorer_of(request), _kept(request, name), limit)


def _page(request: Request, view: CollectionView, status: int = 200, sent: dict[str, str] | None = None) -> Response:
    return page(request, "collection.html", status=status, view=view, sent=sent)
