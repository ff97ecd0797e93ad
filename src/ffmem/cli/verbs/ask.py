"""Commands that ask all cells of an index at once."""

from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import FLAT, Count, Json, Seconds, Share, show
from ffmem.cli.options import IndexFolder, IndexModelOptions, Layers, MostCells
from ffmem.errors import InputError


def search(
    folder: IndexFolder,
    text: str,
    /,
    *,
    regex: bool = False,
    raw: bool = False,
    literal: bool = False,
    cells: bool = False,
    limit: Count = 20,
    time_limit: Seconds = 10.0,
    json: Json = False,
) -> None:
    """Find sentences by their text, held-out ones too, and how many cells each of them triggers.

    Parameters
    ----------
    text
        Words that a sentence must have, in any order; words in double quotes must be next to each other. What has marks or
        symbols, or is in a script without spaces, is searched for exactly as written.
    regex
        The text is a regular expression.
    raw
        The text is a query in the syntax of SQLite's FTS5.
    literal
        The whole text is searched for exactly as written, spaces included, also within words, ignoring case.
    cells
        List these cells.
    limit
        At most this many sentences: the best for whole words, otherwise the first.
    time_limit
        Seconds for which the text itself may be searched.
    """
    switches: dict[queries.Syntax, bool] = {"regex": regex, "raw": raw, "literal": literal}
    given = [name for name, on in switches.items() if on]
    if len(given) > 1:
        both = " and ".join(f"--{name}" for name in given)
        raise InputError(f"both {both} are given", "Expected at most one of them", "Leave one out")
    found = queries.search(
        ffmem.open_index(folder),
        text,
        syntax=given[0] if given else "words",
        with_cells=cells,
        limit=limit,
        time_limit_s=time_limit,
    )
    show(found if json else render.search(found))


def promotes(
    folder: IndexFolder,
    token: str,
    /,
    *,
    suppressed: bool = False,
    layer: Layers = None,
    model: str | None = None,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    limit: MostCells = 20,
    json: Json = False,
) -> None:
    """Find the cells whose values promote a token most, by its rank among the tokens stored for each cell.

    Parameters
    ----------
    token
        Exactly one token of the vocabulary, spaces included: " January".
    suppressed
        Find the cells that suppress it most.
    model
        Where the model of the index is: rank all cells by their score, with the token's rank over the vocabulary.
    """
    index = ffmem.open_index(folder)
    loaded = None if model is None else options.load(index, model)
    found = queries.promotes(index, token, suppressed=suppressed, layer=layer, limit=limit, model=loaded)
    show(found if json else render.promoting(found))


def find(
    folder: IndexFolder,
    /,
    *,
    trigger: str | None = None,
    fires_on: str | None = None,
    next_token: Annotated[str | None, Parameter(name="--next")] = None,
    promotes: str | None = None,
    layer: Layers = None,
    min_active: Share = None,
    max_active: Share = None,
    sort: queries.FindSort = "auto",
    limit: MostCells = 20,
    triggers: Count = 3,
    time_limit: Seconds = 10.0,
    json: Json = False,
) -> None:
    """Find cells by what triggers them and what they promote. Every condition must hold, on one and the same trigger.

    Parameters
    ----------
    trigger
        Words in a trigger's sentence, or /a regular expression/.
    fires_on
        The token that it fires on, spaces included.
    next_token
        The token that follows.
    promotes
        A token among those that the cell promotes most.
    min_active
        Least share of positions at which the cell is active.
    max_active
        Largest share of positions at which the cell is active.
    sort
        promotes: by rank of the promoted token; triggers: most matching ones first; coefficient: strongest match first;
        active: most active first; index: in the order of the index; auto: the first of these that was asked about.
    triggers
        How many triggers of each to show.
    time_limit
        Seconds that a regular expression may take.
    """
    found = queries.find(
        ffmem.open_index(folder),
        trigger=trigger,
        fires_on=fires_on,
        next_token=next_token,
        promotes=promotes,
        layer=layer,
        min_active=min_active,
        max_active=max_active,
        sort=sort,
        limit=limit,
        n_triggers=triggers,
        time_limit_s=time_limit,
    )
    show(found if json else render.found(found))


def similar(
    folder: IndexFolder,
    cell_id: str,
    /,
    *,
    by: queries.Likeness = "triggers",
    model: str | None = None,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    limit: MostCells = 20,
    json: Json = False,
) -> None:
    """Find the cells nearest to a cell.

    Parameters
    ----------
    cell_id
        For example L9.2997.
    by
        Shared triggers, promoted tokens, or with --model the cosine of a vector.
    model
        Where the model of the index is.
    """
    index = ffmem.open_index(folder)
    loaded = None if model is None else options.load(index, model)
    found = queries.similar(index, cell_id, by=by, limit=limit, model=loaded)
    show(found.to_json() if json else render.similar(found))


def diff(
    left: IndexFolder,
    right: str,
    /,
    *,
    by: queries.Change = "triggers",
    layer: Layers = None,
    limit: MostCells = 20,
    json: Json = False,
) -> None:
    """Find the cells that differ most between two indexes: one model over two corpora, or two checkpoints.

    Parameters
    ----------
    right
        An index of a model with the same layers.
    by
        What must differ: the trigger lists, the promoted tokens, the active fraction or the mean coefficient.
    """
    found = queries.diff(ffmem.open_index(left), ffmem.open_index(right), by=by, layer=layer, limit=limit)
    show(found if json else render.diff(found))
