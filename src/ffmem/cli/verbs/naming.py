"""What people call cells."""

from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import render
from ffmem.cli.app import Json, show
from ffmem.cli.options import IndexFolder
from ffmem.errors import InputError
from ffmem.names import people


def name(
    folder: IndexFolder,
    cell_id: str,
    text: str = "",
    /,
    *,
    sign: int = 1,
    note: str = "",
    tag: tuple[str, ...] = (),
    author: str = people.NOBODY,
    reject: bool = False,
    settle: bool = False,
    history: bool = False,
    label: Annotated[
        int | None, Parameter(help="With --reject or --settle: this label, by its number in --history.")
    ] = None,
    json: Json = False,
) -> None:
    """Give a cell a name, reject or settle the one that it has, or show all that was said of it.

    Parameters
    ----------
    cell_id
        For example L9.2997.
    text
        The name: one line of at most 60 characters. What the same author said before stays in the history.
    sign
        1, or -1 for what the cell does with negative coefficients (gated cells only).

    Note:
        Anything more.
    tag
        A word to group names by; may be given several times.
    author
        Who says so.
    reject
        Say that the cell's name is wrong: the next best one takes its place.
    settle
        Settle that the cell's name is its name, whatever else is said.
    history
        Show every label of the cell, also those that were replaced or rejected.
    """
    index = ffmem.open_index(folder)
    cell = index.cell_id(cell_id)
    said = bool(text or note or tag)
    if (reject and settle) or (text and (reject or settle)):
        raise InputError(
            "more than one change is asked for", "Expected a name, --reject or --settle", "Do one at a time"
        )
    if label is not None and not (reject or settle):
        raise InputError("--label is given alone", "Expected --reject or --settle with it", "Leave --label out")
    if reject or settle:
        do = people.reject if reject else people.settle
        do(index, cell, sign=sign, author=author, note=note, label=label)
    elif said:
        people.say(index, cell, text, sign=sign, author=author, note=note, tags=tag)
    found = people.history(index, cell, sign)
    show(found if json else render.history(found, whole=history or not (said or reject or settle)))
