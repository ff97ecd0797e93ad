"""The items of a collection with what an index knows of them, to be read or exported."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ffmem.cell import Name
from ffmem.csv_text import write_csv
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import JsonObject, Record, json_text
from ffmem.queries.relations import Column, Relation
from ffmem.store.collections import Collection, Item
from ffmem.store.files import atomic_file, atomic_write
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

Form = Literal["csv", "json", "parquet", "neuronpedia"]
N_PROMOTED = 3
ROWS = Relation(
    "collection",
    "a cell of a collection, with one of its signs",
    (
        Column("cell", "VARCHAR", "cell id, as in `ffmem cell`"),
        Column("sign", "TINYINT", "1, or -1 for the cell with its negative coefficients (gated cells)"),
        Column("stack", "VARCHAR", "`enc` or `dec` in an encoder-decoder, else empty"),
        Column("layer", "INTEGER", "number of the layer within its stack, from 0"),
        Column("expert", "INTEGER", "expert of a mixture, from 0; NULL in other layers"),
        Column("index", "INTEGER", "index within the layer, or within the expert, from 0"),
        Column("name", "VARCHAR", "what the cell is called; empty if it has no name"),
        Column(
            "name_source", "VARCHAR", "where that name comes from, and how sure it is: `by hand`, `rule B`, `lm 0.82`"
        ),
        Column("notes", "VARCHAR", "what was said of it, a line each, behind who said it where that is known"),
        Column("tags", "VARCHAR", "its tags, with spaces between"),
        Column("active_fraction", "DOUBLE", "share of positions with a coefficient above 0; NULL if not in this index"),
        Column("strongest", "FLOAT", "its largest coefficient of this sign; NULL if it has none"),
        Column("fires_on", "VARCHAR", "the token of its first trigger of this sign; NULL if it has none"),
        Column("promotes", "VARCHAR", "the first 3 tokens that it promotes with this sign, a line each"),
    ),
    by_layer=False,
)
"""The table that a collection is exported as."""


@dataclass(frozen=True)
class Line(Record):
    """An item, and what an index knows of its cell."""

    item: Item
    here: bool
    """Whether the index has the cell; else nothing more is known."""
    active_fraction: float | None = None
    strongest: float | None = None
    """Largest coefficient of this sign, as a signed number."""
    fires_on: str | None = None
    name: Name | None = None
    """What the cell is called with this sign."""
    promotes: tuple[str, ...] = ()
    """With this sign: of negative coefficients, what the value suppresses."""

    @property
    def notes(self) -> str:
        """What was said of it, a line each."""
        return "\n".join(f"{one.author}: {one.text}" if one.author else one.text for one in self.item.notes)


def lines_of(index: Index, items: Iterable[Item]) -> Iterator[Line]:
    """What an index knows of some items, in their order.

    Cost: a few reads of mapped arrays and one of the text for each.
    """
    items = list(items)
    there = [_is_here(index, one) for one in items]
    names = index.names.names(one.unit for one, here in zip(items, there, strict=True) if here)
    for item, here in zip(items, there, strict=True):
        yield _line(index, item, names.get(item.unit)) if here else Line(item, False)


def _is_here(index: Index, item: Item) -> bool:
    return item.cell in index.cells and (item.sign > 0 or index.n_signs == 2)


def _line(index: Index, item: Item, name: Name | None) -> Line:
    place, row = index.cells.place(item.cell)
    arrays, number = index.layer(place), int(item.sign < 0)
    token, fires_on, strongest = int(arrays.trigger_token[row, number, 0]), None, None
    if token != NO_TOKEN:
        sentence_id, position = index.text.locate(token)
        fires_on = index.text.sentence(sentence_id).token_strings()[position]
        strongest = float(arrays.trigger_coefficient[row, number, 0])
    ids = arrays.suppressed_ids if number else arrays.promoted_ids
    promotes = tuple(index.text.token_strings(ids[row, :N_PROMOTED].tolist()))
    active = index.statistics(item.cell).active_fraction
    return Line(item, True, active, strongest, fires_on, name, promotes)


def export_collection(index: Index, collection: Collection, out: Path, form: Form, model_id: str, layer_id: str) -> int:
    """Write a collection into a file.

    Args:
        index: an opened index of its model.
        collection: what is written.
        out: the file; one that is there is replaced.
        form: "csv", "json", "parquet": a table; "neuronpedia": a list as that site has them.
        model_id: how the model is called there.
        layer_id: what follows the number of a layer there: "-mlp".

    Returns:
        the items written.

    Raises:
        InputError: no such form, pyarrow is not installed, or an item has no place in the form.
        StoreError: the disk is full or may not be written to.
    """
    if form not in get_args(Form):
        raise InputError(f"--form is {form!r}", f"Expected one of: {', '.join(get_args(Form))}", "Write --form csv")
    lines = lines_of(index, collection.items)
    if form == "neuronpedia":
        _write_json(out, neuronpedia_list(collection, lines, model_id, layer_id))
        return len(collection.items)
    rows = [_row(one) for one in lines]
    if form == "parquet":
        _write_parquet(out, collection, rows)
    elif form == "csv":
        columns = [column.name for column in ROWS.columns]
        texts = [{name: "" if one is None else str(one) for name, one in row.items()} for row in rows]
        atomic_write(out, write_csv(texts, columns, ("name", "notes", "fires_on", "promotes")))
    else:
        about = {"name": collection.name, "description": collection.description, "index": collection.origin.to_json()}
        _write_json(out, about | {"items": rows})
    return len(collection.items)


def _write_json(out: Path, value: JsonObject) -> None:
    atomic_write(out, (json_text(value, indent=1) + "\n").encode("utf-8", "backslashreplace"))


def _row(line: Line) -> JsonObject:
    cell = line.item.cell
    return {
        "cell": str(cell),
        "sign": line.item.sign,
        "stack": cell.stack,
        "layer": cell.layer,
        "expert": cell.expert,
        "index": cell.index,
        "name": line.name.text if line.name else "",
        "name_source": line.name.mark if line.name else "",
        "notes": line.notes,
        "tags": " ".join(line.item.tags),
        "active_fraction": line.active_fraction,
        "strongest": line.strongest,
        "fires_on": line.fires_on,
        "promotes": "\n".join(line.promotes),
    }


def _write_parquet(out: Path, collection: Collection, rows: list[JsonObject]) -> None:
    extra_module("pyarrow", "parquet", "nothing can be exported")
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ffmem.queries.record_batches import Batches

    about = {"ffmem.collection": json_text({**collection.to_json(), "items": len(rows)})}
    schema = Batches.schema(ROWS, encoded=False).with_metadata(about)
    columns = {name: [row[name] for row in rows] for name in schema.names}
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)
    with atomic_file(out) as file:
        pq.write_table(table, file, compression="zstd")


def neuronpedia_list(collection: Collection, lines: Iterable[Line], model_id: str, layer_id: str) -> JsonObject:
    """A collection as a list of Neuronpedia, each item with its name and notes.

    It knows neither signs nor experts, so a sign stands in the description.

    Raises:
        InputError: an item is of an expert, a dictionary, or an encoder-decoder: its lists have no place for them.
    """
    items: list[JsonObject] = []
    for line in lines:
        one = line.item
        beside = (
            "an expert"
            if one.cell.expert is not None
            else "a dictionary"
            if one.cell.dictionary
            else "an encoder-decoder"
        )
        if one.cell.expert is not None or one.cell.stack or one.cell.dictionary:
            raise InputError(
                f"{one.cell} is a cell of {beside}",
                "Expected cells of plain layers: a list of Neuronpedia has a layer and an index for each",
                "Write --form json",
            )
        named = [f"{line.name.text} ({line.name.mark})"] if line.name else []
        said = [*named, *(note.text for note in one.notes), *(["sign -1"] if one.sign < 0 else [])]
        items.append(
            {
                "modelId": model_id,
                "layer": f"{one.cell.layer}{layer_id}",
                "index": str(one.cell.index),
                "description": "; ".join(said),
            }
        )
    return {"name": collection.name, "description": collection.description, "items": items}
