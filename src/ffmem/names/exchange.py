"""Labels of an index taken elsewhere, and labels from elsewhere taken in. Needs no model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, json_text, to_json
from ffmem.names.label_files import read_labels, to_neuronpedia, write_labels
from ffmem.store.files import write_json
from ffmem.store.identity import identity_id
from ffmem.store.label_rows import Label, Score, name_text
from ffmem.store.reader import Index


@dataclass(frozen=True)
class LabelsWritten(Record):
    """What an export has written."""

    file: Path
    n_labels: int


@dataclass(frozen=True)
class LabelsRead(Record):
    """What an import has kept."""

    n_labels: int
    """In the files."""
    n_added: int
    n_same: int
    """That were there already."""
    n_dropped: int
    """Names by rule of another index, which rest on its text."""


def export_labels(index: Index, out: Path) -> LabelsWritten:
    """Write every label that was not replaced by another, in the order of the cells: .csv, .json, .jsonl or .parquet.

    Raises:
        InputError: the file is there, or its name ends otherwise.
    """
    _check_new(out)
    return LabelsWritten(out, write_labels(out, _rows(index), _about(index)))


def export_neuronpedia(index: Index, out: Path, *, model_id: str = "", layer_id: str = "{layer}-mlp") -> LabelsWritten:
    """Write every label with a text that was neither replaced nor rejected, in the fields of Neuronpedia's explanations.

    Raises:
        InputError: the file is there.
    """
    _check_new(out)
    rows = [row for row in _rows(index) if row["rejected_by"] is None and name_text(row["text"])]
    found = to_neuronpedia(rows, model_id or index.manifest.identity.model.name, layer_id)
    write_json(out, found)
    return LabelsWritten(out, len(found))


def import_labels(index: Index, paths: Sequence[Path], *, remap: bool = False) -> LabelsRead:
    """Keep the labels of files, all of them or, if one is wrong, none; what is there already is not kept twice.

    Args:
        index: whose cells they are.
        paths: as `export_labels` wrote them; made by hand, with `cell` and `text`; or explanations of Neuronpedia or OpenAI.
        remap: take labels of another index of the same weights.

    Raises:
        InputError: a file is wrong, or of another index.
    """
    found = [(path, row) for path in paths for row in read_labels(path)]
    about = _about(index)
    dropped = 0
    labels: list[Label] = []
    scores: list[list[Score]] = []
    runs: dict[str, int] = {json_text(run): number for number, run in index.names.runs().items()}
    same = 0
    for path, row in found:
        is_other = bool(row["index"]) and row["index"] != about["index"]
        if is_other:
            _check_other(path, row, about, remap)
        if is_other and row["source"] == "rule":
            dropped += 1
            continue
        label, own = _label(index, path, row, runs)
        if any(_same(label, one) for one in index.names.labels_of(*label.unit)):
            same += 1
            continue
        labels.append(label)
        scores.append(own)
    index.names.add(labels, scores)
    return LabelsRead(len(found), len(labels), same, dropped)


def _rows(index: Index) -> Iterator[JsonObject]:
    runs = index.names.runs()
    labels = list(index.names.all_labels())
    scores = index.names.scores_of(*(one.id for one in labels))
    for one in labels:
        yield {
            "cell": str(one.cell),
            "sign": one.sign,
            "source": one.source,
            "text": one.text,
            "kind": one.kind,
            "grade": one.grade,
            "author": one.author,
            "note": one.note,
            "tags": list(one.tags),
            "evidence": to_json(one.evidence or {}),
            "scores": to_json(scores[one.id]),
            "run": None if one.run is None else runs.get(one.run),
            "rejected_by": one.rejected_by,
            "adjudicated": one.adjudicated,
            "made": one.made,
        }


def _about(index: Index) -> JsonObject:
    identity = index.manifest.identity
    return {"index": identity_id(identity.json), "weights": identity.model.weights_sha256}


def _check_other(path: Path, row: JsonObject, about: JsonObject, remap: bool) -> None:
    if row["weights"] != about["weights"]:
        raise InputError(
            f"{path} holds labels of another model: its weights are {row['weights'][:12] or 'not told'}",
            f"Expected labels of the weights {about['weights'][:12]}",
            "Import them into an index of that model",
        )
    if not remap:
        raise InputError(
            f"{path} holds labels of another index: {row['index'][:80]}",
            f"Expected labels of {about['index']}",
            "Its model has the same weights; to take them over, but for names by rule, add --remap",
        )


def _label(index: Index, path: Path, row: JsonObject, runs: dict[str, int]) -> tuple[Label, list[Score]]:
    try:
        cell = CellId.parse(row["cell"])
        scores = [Score(**one) for one in row["scores"]]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} has a label of {row['cell'][:80]!r} that cannot be read: {error}",
            "Expected the id of a cell, and scores as an export has them",
            "Mend the file, and import it again",
        ) from error
    run = None
    if row["run"] is not None:
        text = json_text(row["run"])
        run = runs[text] if text in runs else runs.setdefault(text, index.names.add_run(row["run"]))
    made = {name: row[name] for name in _GIVEN}
    return Label(cell, tags=tuple(row["tags"]), run=run, **made), scores


_GIVEN = (
    "sign", "source", "text", "kind", "evidence", "author", "note", "grade", "rejected_by", "adjudicated", "made",
)  # fmt: skip


def _same(new: Label, kept: Label) -> bool:
    """Whether a label says what one that is kept says; when it was made is no part of it, if it is not told."""
    parts = [name for name in (*_GIVEN, "tags") if name != "made" or new.made]

    def of(label: Label) -> list[Any]:
        return [to_json(getattr(label, name)) for name in parts]

    return of(new) == of(kept)


def _check_new(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out} already exists", "Expected the name of a new file", "Choose another, or remove it first"
        )
