"""Commands that ask all cells of an index at once."""

from typing import Annotated, Any

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import FLAT, Count, Json, Seconds, Share, show
from ffmem.cli.choosing import among, keep, keep_cells
from ffmem.cli.options import Cells, IndexFolder, IndexModelOptions, Layers, MostCells, Out, Save
from ffmem.cli.writing import check_out, write_answer
from ffmem.errors import InputError
from ffmem.queries.find import Conditions, match_cells
from ffmem.queries.found_table import write_found
from ffmem.queries.question import parse_meta


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
    save: Save = None,
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
        List these cells; --save does too.
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
    index, syntax = ffmem.open_index(folder), given[0] if given else "words"
    found = queries.search(
        index,
        text,
        syntax=syntax,
        with_cells=cells or save is not None,
        limit=limit,
        time_limit_s=time_limit,
    )
    keep(index, save, "search", {"text": text, "syntax": syntax, "limit": limit}, found)
    show(found if json else render.search(found))


def promotes(
    folder: IndexFolder,
    token: str,
    /,
    *,
    suppressed: bool = False,
    layer: Layers = None,
    label: bool = False,
    model: str | None = None,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    limit: MostCells = 20,
    save: Save = None,
    json: Json = False,
) -> None:
    """Find the cells whose values promote a token most, by its rank among the tokens stored for each cell.

    Parameters
    ----------
    token
        Exactly one token of the vocabulary, spaces included: " January". With --label: a label of a classifier.
    suppressed
        Find the cells that suppress it most.
    label
        Ask for a label of a classifier whose scores are linear in its values (`ffmem info` names them), not for a token.
    model
        Where the model of the index is: rank all cells by their score, with the token's rank over the vocabulary.
    """
    index = ffmem.open_index(folder)
    loaded = None if model is None else options.load(index, model)
    found = queries.promotes(index, token, suppressed=suppressed, layer=layer, limit=limit, label=label, model=loaded)
    asked = {"token": token, "suppressed": suppressed, "layer": layer, "limit": limit, "label": label}
    keep(index, save, "promotes", asked | {"with_model": loaded is not None}, found)
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
    cells: Cells = None,
    min_active: Share = None,
    max_active: Share = None,
    named: str = "",
    topic: str = "",
    source: str = "",
    grade: str = "",
    meta: str = "",
    within: queries.Within = "auto",
    sort: queries.FindSort = "auto",
    start: Count = 0,
    limit: MostCells = 20,
    triggers: Count = 3,
    time_limit: Seconds = 10.0,
    out: str | None = None,
    save: Save = None,
    json: Json = False,
) -> None:
    """Find cells by what triggers them and what they promote. Every condition must hold, on one and the same trigger.

    Parameters
    ----------
    trigger
        Words in a trigger, or /a regular expression/.
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
    named
        Words in the cell's name.
    topic
        What the cell is about: its name claims this topic, or its triggers come from documents about it more often than
        chance would have it.
    source
        Where its name comes from: human, lm, rule, import; or guess, for those that nothing supports.
    grade
        Of a name by rule: A, B or C.
    meta
        Values in the metadata of a trigger's document: 'topic:mythology genre:"short story"'.
    within
        Where a trigger has the words: prefix: up to the token that it fires on; sentence: anywhere in the sentence; auto: the
        first for a model that reads from left to right.
    sort
        lift: by how many times the rate of all positions the triggers match; promotes: by rank of the promoted token;
        triggers: most matching ones first; coefficient: strongest match first; active: most active first; name: the surest
        name first; index: in the order of the index; auto: by promoted token, lift or name, as was asked about.
    start
        Pass over so many cells first.
    triggers
        How many triggers of each to show.
    time_limit
        Seconds for which the text itself may be searched.
    out
        Write all cells that are found into this new file, .csv, .json or .parquet, instead of printing some; not with --save.
    """
    index = ffmem.open_index(folder)
    asked: dict[str, Any] = {
        "trigger": trigger,
        "fires_on": fires_on,
        "next_token": next_token,
        "promotes": promotes,
        "layer": layer,
        "min_active": min_active,
        "max_active": max_active,
        "within": within,
        "topic": topic,
    }
    about_names = {"named": named, "source": source, "grade": grade}
    further: dict[str, Any] = {
        "names": queries.NameQuestion(**about_names),
        "among": among(index, cells),
        "meta": parse_meta(meta),
    }
    if out is not None:
        if save is not None:
            raise InputError("both --out and --save are given", "Expected one of them", "Ask twice")
        matches = match_cells(index, Conditions(**asked, **further), sort=sort, time_limit_s=time_limit)
        written = write_found(index, matches, out)
        show(written if json else f"{written.n_cells:,} cells written to {written.file}. {written.note}".strip())
        return
    shown: dict[str, Any] = {"sort": sort, "start": start, "limit": limit}
    found = queries.find(index, **asked, **further, **shown, n_triggers=triggers, time_limit_s=time_limit)
    typed = about_names | {"topic": topic, "meta": meta}
    plain = {"start": start or None, "within": None if within == "auto" else within}
    saved = asked | shown | plain | {"cells": cells} | {name: one or None for name, one in typed.items()}
    keep(index, save, "find", saved, found)
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
    save: Save = None,
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
    keep(index, save, "similar", {"cell": str(found.cell), "by": by, "limit": limit}, found)
    show(found.to_json() if json else render.similar(found))


def diff(
    left: IndexFolder,
    right: str,
    /,
    *,
    by: queries.Change = "triggers",
    layer: Layers = None,
    limit: MostCells = 20,
    out: Out = None,
    save: Save = None,
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
    check_out(out)
    index = ffmem.open_index(left)
    found = queries.diff(index, ffmem.open_index(right), by=by, layer=layer, limit=limit)
    keep_cells(index, save, ((one.cell, 1.0) for one in found.rows))
    if out is not None:
        show(write_answer(out, found, found.rows))
        return
    show(found if json else render.diff(found))
