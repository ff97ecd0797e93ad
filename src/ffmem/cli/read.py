"""Commands that read an index."""

import sys
from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import Count, Json, Some, app, show
from ffmem.cli.options import TrustCode, check


@app.command
def info(folder: str, /, *, json: Json = False) -> None:
    """Say what an index is: model, corpus, options, counts, certificate.

    Parameters
    ----------
    folder
        An index.
    json
        Print one JSON document.
    """
    opened = ffmem.open_index(folder)
    found = queries.info(opened)
    show(found if json else render.info(found))


@app.command
def cell(folder: str, cell_id: str, /, *, json: Json = False, triggers: Count = 10) -> None:
    """Show a cell: its trigger examples, its statistics, the tokens its value promotes and suppresses.

    Parameters
    ----------
    folder
        An index.
    cell_id
        For example L9.2997: layer 9, index 2997, both from 0.
    json
        Print one JSON document, with every trigger.
    triggers
        How many triggers of each sign to show.
    """
    found = queries.cell(ffmem.open_index(folder), cell_id)
    show(found if json else render.cell(found, triggers))


@app.command
def cells(
    folder: str, /, *, layer: str | None = None, sort: queries.SortKey = "index", limit: Count = 20, json: Json = False
) -> None:
    """Show a table of cells by a statistic.

    Parameters
    ----------
    folder
        An index.
    layer
        Only this layer (9, L9, dec.L3), or these (10:, :5, 3:7, without the last).
    sort
        Largest first, but min and index: smallest first. top is the coefficient of the last trigger kept.
    limit
        At most this many rows.
    json
        Print one JSON document.
    """
    rows = queries.cells(ffmem.open_index(folder), layer=layer, sort=sort, limit=limit)
    show(rows if json else render.cells(rows))


@app.command
def verify(
    folder: str,
    /,
    *,
    files_only: bool = False,
    model: str | None = None,
    threads: Annotated[int | None, Parameter(validator=check)] = None,
    trust_remote_code: TrustCode = False,
    batches: Some = 3,
    seed: Count = 0,
    json: Json = False,
) -> None:
    """Check every file of an index, and a sample of its triggers against the model. Exit 1 if anything is wrong.

    Parameters
    ----------
    folder
        An index.
    files_only
        Leave the model out.
    model
        Where the model is now, if not where it was.
    threads
        Threads of the model, by default as many as each worker of the build had: with others, numbers agree to rounding only.
    batches
        Batches of sentences to run again.
    seed
        Which batches.
    json
        Print one JSON document.
    """
    from ffmem.index.verify import verify_index

    opened = ffmem.open_index(folder)
    say = None if json else render.say("checking")
    found = verify_index(
        opened,
        with_model=not files_only,
        model=model,
        n_batches=batches,
        seed=seed,
        threads=threads,
        trust_remote_code=trust_remote_code,
        progress=say,
    )
    show(found if json else render.verification(found))
    if found.problems:
        sys.exit(1)
