"""Commands that read an index at once: what they import is all that they wait for."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import IndexFolder, ModelOptions
from ffmem.errors import StoreError
from ffmem.store.paths import StorePaths


def info(
    folder: Annotated[str, Parameter(help="An index; with --structure, a model.")],
    /,
    *,
    structure: bool = False,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show what an index is: model, corpus, options, counts, certificate; or where the memories of a model lie.

    Parameters
    ----------
    structure
        Of a model: its layers, keys and values, norms, multipliers, attention and head, with the errors of the identities that
        prove them. Of one that is refused: why, and all its modules.
    """
    if structure:
        show(_structure(folder, options, json))
        return
    opened = _opened(folder)
    show(queries.info(opened) if json else render.info(opened))


def _opened(folder: str) -> ffmem.Index:
    """An index; of what has none, the message says how a model is looked at."""
    try:
        return ffmem.open_index(folder)
    except StoreError as error:
        paths = StorePaths(Path(folder))
        if paths.manifest.exists() or paths.work.exists():
            raise
        raise StoreError(
            error.got, error.expected, f"{error.mend}; if {folder} is a model: ffmem info {folder} --structure"
        ) from error


def _structure(model: str, options: ModelOptions, json: bool) -> Any:
    from ffmem.models.description import describe  # with torch, which reading an index does without
    from ffmem.models.structure.refusal import NotProvenError

    try:
        found = describe(options.load(model))
    except NotProvenError as refused:
        show(refused.modules)
        raise
    return found if json else render.structure(found)


def cell(
    folder: IndexFolder,
    cell_id: str,
    /,
    *,
    json: Annotated[Json, Parameter(help="Print one JSON document, with every trigger.")] = False,
    triggers: Count = 10,
) -> None:
    """Show a cell: its trigger examples, its statistics, the tokens its value promotes and suppresses.

    Parameters
    ----------
    cell_id
        For example L9.2997: layer 9, index 2997, both from 0.
    triggers
        How many triggers of each sign to show.
    """
    found = queries.cell(ffmem.open_index(folder), cell_id)
    show(found.to_json() if json else render.cell(found, triggers))
