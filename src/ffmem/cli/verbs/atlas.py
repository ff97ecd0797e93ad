"""A picture of all cells."""

import sys
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

import ffmem
from ffmem import queries, render
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import IndexFolder, IndexModelOptions, MovedModel, Quiet
from ffmem.queries.atlas.layout import MAX_FITTED, lay_out, plan_atlas
from ffmem.queries.atlas.neighbours import alike
from ffmem.queries.atlas.points import cells_within, masks_of
from ffmem.store.atlas import AtlasBy, write_atlas


def atlas(
    folder: IndexFolder,
    /,
    *,
    by: AtlasBy = "triggers",
    model: MovedModel = None,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    seed: Count = 0,
    neighbours: Annotated[int, Parameter(validator=Number(gte=2, lte=200))] = 15,
    fitted: Annotated[int, Parameter(validator=Number(gte=100))] = MAX_FITTED,
    within: str | None = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Lay out all cells in a picture, which the explorer shows, and measure how far it can be trusted. Needs the extra atlas.

    Parameters
    ----------
    by
        What lies together: cells that fire on the same sentences; or, with the model, of alike value vectors or keys.
    seed
        Equal seeds give the same picture on the same machine.
    neighbours
        Nearest cells of each that it is made from: few show small groups, many the large ones.
    fitted
        At most so many cells are laid out; of more, so many are drawn by lot, and each other one is put between those it
        is nearest to.
    within
        Make nothing; list the cells in an outline of the picture that was made: x and y of two corners of a rectangle, or of
        more corners, from 0 to 1, commas between.
    """
    index = ffmem.open_index(folder)
    if within is not None:
        cells = cells_within(index, by, within)
        found = queries.cells(index, among=masks_of(index, cells), limit=len(cells))
        show(found if json else render.cells(found))
        return
    loaded = None if by == "triggers" else options.load(index, model)
    likeness = alike(index, by, loaded)
    plan = plan_atlas(likeness, by, neighbours, fitted)
    if not quiet:
        print(render.atlas_plan(plan), file=sys.stderr)
    with render.steps(quiet or json) as listen:
        made = lay_out(likeness, by, seed=seed, neighbours=neighbours, fitted=fitted, listen=listen)
    path = write_atlas(index, made)
    show(made.facts if json else render.atlas(made.facts, path))
