"""Let people name the patterns in the triggers of cells: blind sheets, agreement, Figure 2."""

from pathlib import Path

from cyclopts import App

import ffmem
from ffmem import render
from ffmem.annotations import batches, store
from ffmem.annotations.adjudication import adjudication_rows
from ffmem.annotations.annotator_agreement import measure_agreement
from ffmem.annotations.protocol import ADJUDICATED
from ffmem.annotations.rows import ADJUDICATION
from ffmem.annotations.summary import summarize
from ffmem.cli.app import Count, Json, app, show
from ffmem.cli.choosing import among
from ffmem.cli.options import Cells, IndexFolder, Layers
from ffmem.json_values import to_json
from ffmem.queries.names import places

annotate = App(
    name="annotate",
    help=__doc__,
    default_parameter=app.default_parameter,  # commands inherit it, the reference does not
)


@annotate.command
def draw(
    folder: str,
    /,
    *annotators: str,
    out: str,
    batch: str = "batch-1",
    layer: Layers = None,
    cells: Cells = None,
    per_layer: int = batches.N_CELLS,
    triggers: int = batches.N_TRIGGERS,
    sign: int = 1,
    seed: Count = 0,
    json: Json = False,
) -> None:
    """Draw random cells of each layer, and write a blind sheet for each annotator: it shows neither cell nor layer.

    Parameters
    ----------
    folder
        An index; the key to the numbers of the cells is kept in it.
    annotators
        A name for each: lower-case letters, digits, - and _.
    out
        Folder for the sheets, each as CSV and as JSON: either may be filled in.
    batch
        Name of the draw; it is shown on the sheets.
    per_layer
        Cells of each layer.
    triggers
        Triggers of each cell, the first ones, shown in random order.
    sign
        1, or -1 for the triggers of negative coefficients (gated cells only).
    seed
        Of the draw: the same seed draws the same cells.
    """
    index = ffmem.open_index(folder)
    drawn = batches.draw(
        index,
        batch,
        layers=places(index, layer),
        among=among(index, cells, seed),
        per_layer=per_layer,
        n_triggers=triggers,
        sign=sign,
        seed=seed,
    )
    files = store.write_sheets(index, drawn, annotators, Path(out))
    show(
        {"batch": batch, "n_cells": len(drawn.cells), "sheets": [str(one) for one in files]}
        if json
        else render.drawn(drawn, files)
    )


@annotate.command(name="import")
def import_(folder: str, /, *files: str, replace: bool = False, json: Json = False) -> None:
    """Store sheets that were filled in, or an export. If one of them is wrong, none is stored.

    Parameters
    ----------
    folder
        The index that the sheets were drawn from.
    files
        Sheets or exports: .csv or .json files.
    replace
        Replace what is stored for the same annotator and batch.
    """
    found = store.import_files(ffmem.open_index(folder), [Path(file) for file in files], replace=replace)
    show(found if json else render.imported(found))


@annotate.command
def export(folder: IndexFolder, /, *, out: str, json: Json = False) -> None:
    """Write all annotations of an index into one file, which `import` reads again.

    Parameters
    ----------
    out
        The file: its name ends in .csv or .json.
    """
    n = store.export(ffmem.open_index(folder), Path(out))
    show({"file": out, "n_annotations": n} if json else f"{out}: {n:,} annotations of cells")


@annotate.command
def agreement(
    folder: IndexFolder, /, *, batch: str | None = None, adjudicate: str | None = None, json: Json = False
) -> None:
    """Show how far annotators agree: Krippendorff's alpha on the labels of triggers, and the patterns that match.

    Parameters
    ----------
    batch
        Only this one.
    adjudicate
        A folder: write a sheet there, for each batch, of the cells that annotators differ on. Filled in and imported, it
        takes precedence in the summary.
    """
    index = ffmem.open_index(folder)
    annotations = [one for one in store.load(index) if batch in (None, one.batch)]
    found = measure_agreement(annotations)
    files: list[Path] = []
    if adjudicate is not None:
        for name in sorted({one.batch for one in annotations}):
            rows = adjudication_rows(batches.load_batch(index, name), annotations)
            if rows:
                files += store.write_sheet(Path(adjudicate) / f"{name}.{ADJUDICATED}", rows, ADJUDICATION)
    show(to_json(found) | {"sheets": [str(one) for one in files]} if json else render.agreement(found, files))


@annotate.command
def summary(folder: IndexFolder, /, *, annotator: str | None = None, json: Json = False) -> None:
    """Show the labels of triggers by layer (Figure 2), coverage, and patterns per cell, with 95 % intervals.

    Parameters
    ----------
    annotator
        Only this annotator. Otherwise all count the same; where a cell was adjudicated, only that counts.
    """
    index = ffmem.open_index(folder)
    found = summarize(index, store.load(index), annotator=annotator)
    show(found if json else render.annotations_summary(found))
