"""Collections in a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from ffmem.names.collection_lines import Line
from ffmem.names.collection_queries import Refreshed, as_typed
from ffmem.names.collections import CollectionDiff, Compared
from ffmem.render.ask import diff
from ffmem.render.terminal import called, one_line
from ffmem.store.collections import Collection, Item

_N_SHOWN = 20
"""Cells of a difference that are named."""


def collections(rows: Sequence[dict[str, Any]]) -> str:
    """`ffmem collect list`."""
    if not rows:
        return "No collections yet: ffmem collect add DIR NAME CELLS"
    lines = []
    for row in rows:
        if row["problem"]:
            lines.append(f"{row['name']:20} {'-':>7}  {one_line(row['problem'])}")
            continue
        about = one_line(row["description"]) or one_line(as_typed(row["query"]))
        lines.append(f"{row['name']:20} {row['n_items']:>7,}  {about}".rstrip())
        if row["note"]:
            lines.append(f"{'':20} {'':7}  {one_line(row['note'])}")
    return "\n".join(lines)


def collection(found: Collection, lines: Sequence[Line], note: str) -> str:
    """`ffmem collect show`."""
    told = [
        f"{found.name}: {len(found.items):,} items, of {one_line(found.origin.model)} over {one_line(found.origin.corpus)}"
    ]
    told += [f"  {one_line(one)}" for one in found.description.splitlines()]
    if found.query is not None:
        told.append(f"  the answer to: {one_line(as_typed(found.query))}")
    if note:
        told.append(f"  {one_line(note)}")
    for line in lines:
        told.append(_line(line))
        told += [f"{'':14}{one_line(one)}" for one in line.notes.splitlines()]
    if len(lines) < len(found.items):
        told.append(f"  and {len(found.items) - len(lines):,} more: --limit")
    return "\n".join(told)


def _line(line: Line) -> str:
    tags = "".join(f" #{one_line(one)}" for one in line.item.tags)
    if not line.here:
        return f"{_unit(line.item):>14}  not in this index{tags}"
    fires = "never" if line.fires_on is None else f"⟨{one_line(line.fires_on)}⟩"
    promoted = " ".join(f"⟨{one_line(one)}⟩" for one in line.promotes)
    return f"{_unit(line.item):>14}  {line.active_fraction or 0:7.2%}  {fires:16}  {promoted}{called(line.name)}{tags}"


def _unit(item: Item) -> str:
    return f"{item.cell}{' (-)' if item.sign < 0 else ''}"


def kept_collection(found: Collection, notes: Iterable[str]) -> str:
    """What `ffmem collect add`, `remove` and `merge` say."""
    return "\n".join([f"{found.name}: {len(found.items):,} items", *(f"  {one_line(one)}" for one in notes)])


def collection_diff(found: CollectionDiff, notes: Iterable[str]) -> str:
    """`ffmem collect diff` of two collections."""
    lines = [
        f"{found.first} and {found.second}: {found.n_same:,} the same, {len(found.added):,} added, "
        f"{len(found.removed):,} removed, {len(found.changed):,} with other notes or tags",
        *(f"  {one_line(one)}" for one in notes),
        *_named("+", found.added),
        *_named("-", found.removed),
    ]
    for change in found.changed[:_N_SHOWN]:
        lines += [*_named("-", [change.before], said=True), *_named("+", [change.after], said=True)]
    return "\n".join(lines)


def _named(mark: str, items: Sequence[Item], said: bool = False) -> list[str]:
    lines = []
    for one in items[:_N_SHOWN]:
        notes = "; ".join(f"{note.author}: {note.text}" if note.author else note.text for note in one.notes)
        rest = f"  {one_line(notes)} {' '.join(f'#{tag}' for tag in one.tags)}".rstrip() if said else ""
        lines.append(f"{mark} {_unit(one)}{rest}")
    if len(items) > _N_SHOWN:
        lines.append(f"{mark} and {len(items) - _N_SHOWN:,} more: --json")
    return lines


def compared_collection(found: Compared) -> str:
    """`ffmem collect diff` of one collection in two indexes."""
    notes = [f"  {one_line(one)}" for one in found.notes]
    if found.diff is None:
        return "\n".join([f"{found.name} is empty", *notes])
    return "\n".join([f"{found.name}: the most different cells first", *notes, diff(found.diff)])


def refreshed(found: Refreshed, written: bool) -> str:
    """`ffmem collect refresh`."""
    lines = [
        f"{found.name}: {found.n_same:,} the same, {len(found.added):,} added, {len(found.removed):,} removed"
        f"{'' if written or not (found.added or found.removed) else ' (--write keeps this)'}",
        *([f"  {one_line(found.note)}"] if found.note else []),
        *_named("+", found.added),
        *_named("-", found.removed),
    ]
    if found.kept:
        lines += ["no longer in the answer, and kept for what was said of them:", *_named("=", found.kept)]
    if found.not_here:
        lines += ["not in this index:", *_named("?", found.not_here)]
    return "\n".join(lines)
