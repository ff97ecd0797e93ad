"""Memories through training."""

from typing import Annotated

import ffmem
from ffmem import render
from ffmem.analyses.through_training.life import life
from ffmem.analyses.through_training.moments import moments_of
from ffmem.cli.app import FLAT, Count, Json, Some, show
from ffmem.cli.studying import StudyRun, run_named
from ffmem.studies.study import study_named
from ffmem.studies.training.options import TrainingOptions


def trace(
    first: str,
    /,
    *more: str,
    cell: str | None = None,
    seed_other: str | None = None,
    positions: Some = TrainingOptions.positions,
    matched_cells: Some = TrainingOptions.matched_cells,
    seed: Count = 0,
    run: Annotated[StudyRun, FLAT] = StudyRun(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Follow cells through the checkpoints of a training: when triggers, agreement, names settle; drift, deaths. Writes a page.

    Parameters
    ----------
    first
        The index of the earliest moment.
    more
        Those of the others, over the same text, the last one last; the page lies beside it.
    cell
        Write no page; show this cell (L3.17) at each moment. Needs no model.
    seed_other
        An index of the last moment of another seed: which cells does that training have, too?
    positions
        Positions of held-out text over which coefficients are compared.
    matched_cells
        Cells of each layer that are looked for in the other seed.
    seed
        Seed of everything drawn.
    """
    moments = moments_of([ffmem.open_index(folder).without_dictionaries() for folder in (first, *more)])
    if cell is not None:
        found = life(moments, cell)
        show(found if json else render.life(found))
        return
    options = TrainingOptions((first, *more[:-1]), seed_other, positions, matched_cells, seed)
    report, page = run_named(study_named("training"), more[-1], (), options, run)
    show(report.to_json() | {"page": str(page)} if json else render.study(report, page))
