"""An index as a folder of Parquet files."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import Record
from ffmem.queries.matches import Masks
from ffmem.queries.relations import CELLS, RELATIONS, Relation
from ffmem.store.files import disk_errors, sync_folder
from ffmem.store.histogram import histogram_edges
from ffmem.store.reader import Index
from ffmem.version import __version__

if TYPE_CHECKING:
    from ffmem.queries.record_batches import Batches


@dataclass(frozen=True)
class Exported(Record):
    """What an export wrote."""

    folder: Path
    n_rows: dict[str, int]
    """Rows of each table."""
    n_bytes: int


def export(
    index: Index,
    out: str | Path,
    *,
    among: Masks | None = None,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write every table of an index as a Parquet file (zstd) into a new folder, whole or not at all.

    Tables of cells have a row group for each layer, or for each expert of a mixture. Each file carries model, corpus,
    ffmem version and the meaning of its columns as key-value metadata; a README.md says the same to people.

    Args:
        index: an opened index.
        out: the folder to make.
        among: for each layer, by its place, whether each of its cells is written; tables of text are whole anyhow.
        progress: is told the name of each file as it is begun.

    Raises:
        InputError: the folder already exists, or pyarrow is not installed.
        StoreError: the disk is full or may not be written to.

    Cost: memory for the largest layer (expert): about 100 bytes x cells x 2 x top.
    """
    extra_module("pyarrow", "parquet", "nothing can be exported")
    from ffmem.queries.record_batches import Batches

    out = Path(out)
    if os.path.lexists(out):
        raise InputError(
            f"{out} already exists",
            "Expected the name of a new folder: an export never overwrites anything",
            "Choose another name, or remove it first",
        )
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
        try:
            batches, n_rows = Batches(index, among), {}
            for relation in RELATIONS:
                if progress is not None:
                    progress(f"{relation.name}.parquet")
                n_rows[relation.name] = _write_table(batches, relation, temporary, _about(index, relation))
            (temporary / "README.md").write_text(_readme(index, n_rows, among is not None), encoding="utf-8")
            n_bytes = _settle(temporary)
            temporary.rename(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(out.parent)
    return Exported(out, n_rows, n_bytes)


def _write_table(batches: "Batches", relation: Relation, folder: Path, about: dict[str, str]) -> int:
    """Returns the number of rows."""
    import pyarrow.parquet as pq

    n_rows = 0
    wanted = batches.schema(relation, encoded=False).with_metadata(about)
    # opened by us: pyarrow's own files lose the number of an error, and so whether the disk is full
    with (folder / f"{relation.name}.parquet").open("wb") as file:
        with pq.ParquetWriter(file, wanted, compression="zstd") as writer:
            for batch in batches.read(relation, encoded=False, whole_groups=True):
                if batch.num_rows:
                    writer.write_batch(batch.replace_schema_metadata(about), row_group_size=batch.num_rows)
                    n_rows += batch.num_rows
        file.flush()
        os.fsync(file.fileno())
    return n_rows


def _about(index: Index, relation: Relation) -> dict[str, str]:
    """The key-value metadata of a file."""
    identity = index.manifest.identity
    about = {
        "ffmem.version": __version__,
        "ffmem.table": f"{relation.name}: a row is {relation.row}",
        "ffmem.columns": json.dumps({column.name: column.meaning for column in relation.columns}),
        "ffmem.model": json.dumps(identity.model.json),
        "ffmem.corpus": json.dumps(identity.corpus.json),
        "ffmem.options": json.dumps(identity.json["options"]),
    }
    if relation is CELLS:
        about["ffmem.histogram_edges"] = json.dumps([str(edge) for edge in histogram_edges().tolist()])
    return about


def _readme(index: Index, n_rows: dict[str, int], is_part: bool) -> str:
    identity = index.manifest.identity
    lines = [
        f"# {identity.model.name} over {identity.corpus.name}",
        "",
        f"Every feed-forward cell of a model, as ffmem {__version__} exported it from an index: what it responds to in a "
        "corpus, and which tokens its value promotes.",
        "",
        f"- model: {identity.model.name}, weights {identity.model.weights_sha256}",
        f"- corpus: {json.dumps(identity.corpus.json)}",
        f"- options: {json.dumps(identity.json['options'])}",
        *([f"- cells: {n_rows['cells']:,} of {index.n_cells:,}, as they were chosen"] if is_part else []),
        "",
        "The same definitions stand in each file's key-value metadata.",
    ]
    for relation in RELATIONS:
        lines += ["", f"## {relation.name}.parquet", "", f"{n_rows[relation.name]:,} rows; a row is {relation.row}."]
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in relation.columns]
    return "\n".join(lines) + "\n"


def _settle(folder: Path) -> int:
    """Make a folder of finished files survive a power cut, and readable by others; returns its bytes."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)
    return sum(path.stat().st_size for path in folder.iterdir())
