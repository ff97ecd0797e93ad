"""Take what cells are called elsewhere, or from elsewhere: CSV, JSON, Parquet, Neuronpedia's JSON."""

from pathlib import Path

from cyclopts import App

import ffmem
from ffmem import render
from ffmem.cli.app import Json, app, show
from ffmem.cli.options import IndexFolder
from ffmem.errors import InputError
from ffmem.names import exchange
from ffmem.store.labels import open_labels
from ffmem.store.manifest import read_manifest

labels = App(
    name="labels",
    help=__doc__,
    default_parameter=app.default_parameter,  # commands inherit it, the reference does not
)


@labels.command
def export(
    folder: IndexFolder,
    file: str,
    /,
    *,
    neuronpedia: bool = False,
    model_id: str = "",
    layer_id: str = "{layer}-mlp",
    json: Json = False,
) -> None:
    """Write every label that holds or was rejected, whoever gave it, in the order of the cells.

    Parameters
    ----------
    file
        A new file, whose name ends in .csv, .json, .jsonl (a label a line) or .parquet: each is read back as it was written.
    neuronpedia
        Write JSON in the fields of Neuronpedia's explanations: for its administrators, who alone can import it.
    model_id
        Neuronpedia's name of the model; by default the index's own.
    layer_id
        Neuronpedia's name of a layer's cells, with {layer} for its number.
    """
    index = ffmem.open_index(folder)
    if neuronpedia:
        found = exchange.export_neuronpedia(index, Path(file), model_id=model_id, layer_id=layer_id)
    else:
        found = exchange.export_labels(index, Path(file))
    show(found if json else render.labels_written(found))


@labels.command(name="import")
def import_(folder: IndexFolder, /, *files: str, remap: bool = False, json: Json = False) -> None:
    """Keep the labels of files, all of them or, if one is wrong, none.

    Parameters
    ----------
    files
        What was exported; CSV, JSON or Parquet made by hand, with the columns cell and text, and others as exports have them;
        explanations of Neuronpedia (JSON), or those that OpenAI published of GPT-2 (JSON lines; Bills et al. 2023).
    remap
        Take labels of another index of the same weights; names by rule, which rest on its text, are left out.
    """
    if not files:
        raise InputError("no file is named", "Expected some", "Name them: ffmem labels import DIR FILE ...")
    found = exchange.import_labels(ffmem.open_index(folder), [Path(one) for one in files], remap=remap)
    show(found if json else render.labels_read(found))


@labels.command
def remap(folder: IndexFolder, /, *, json: Json = False) -> None:
    """Let labels that lie beside an index, and were made for another of the same weights, be those of this one.

    Names by rule, which rest on the other index's text, are dropped.
    """
    found = open_labels(Path(folder), read_manifest(Path(folder)), remap=True).counts()
    show(found if json else render.label_counts(found))
