"""Labels as files: CSV, JSON and Parquet, which give back what they were given; Neuronpedia's and OpenAI's JSON."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ffmem.csv_text import read_csv, write_csv
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.foreign import foreign_errors
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, json_text
from ffmem.store.files import atomic_file, parse_json

COLUMNS = (
    "cell", "sign", "source", "text", "kind", "grade", "author", "note", "tags", "evidence", "scores", "run",
    "rejected_by", "adjudicated", "made", "index", "weights",
)  # fmt: skip
"""Of a label; a file made by hand needs `cell` and `text` alone."""
_AS_JSON = ("tags", "evidence", "scores", "run")
"""What is no plain text, and stands in CSV and Parquet as JSON."""
_TEXTS = ("text", "kind", "author", "note", "rejected_by")
"""What people write."""
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
_LAYER = re.compile(
    r"(?:(?P<stack>enc|dec)\.)?(?P<layer>\d{1,9})(?!\d)(?:.*-dictionary-(?P<dictionary>[a-z][a-z0-9_-]+)|(?:.*-e(?P<expert>\d{1,9}))?.*)",
    re.ASCII | re.DOTALL,
)
_SIGN = re.compile(r"sign -1(?:; )?")


def write_labels(path: Path, rows: Iterable[JsonObject], about: JsonObject) -> int:
    """Write labels in the form that the name of the file asks for, and say how many.

    Args:
        path: a new file; an old one is replaced.
        rows: by `COLUMNS`, without `index` and `weights`.
        about: `index` and `weights`.

    Raises:
        InputError: the name ends otherwise, or pyarrow is not installed.
    """
    suffix = _suffix(path)
    found = [row | about for row in rows]
    if suffix == ".csv":
        data = write_csv(map(_flat, found), COLUMNS, _TEXTS)
    elif suffix == ".json":
        data = (json.dumps({"labels": found}, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    elif suffix == ".jsonl":
        data = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in found).encode()
    else:
        data = _parquet(found)
    with atomic_file(path) as file:
        file.write(data)
    return len(found)


def read_labels(path: Path) -> list[JsonObject]:
    """The labels of a file, by `COLUMNS`, as far as it tells; of a form from elsewhere, with the source "import".

    Raises:
        InputError: it cannot be read, or is none of these.
    """
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            return [_typed(row) for row in _from_parquet(path)]
        text = path.read_bytes().decode("utf-8-sig")
        if suffix == ".csv":
            return [_typed(row) for row in read_csv(text, _TEXTS)]
        found = (
            [parse_json(line) for line in text.split("\n") if line.strip()] if suffix == ".jsonl" else parse_json(text)
        )
        return list(_of_json(found))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8") from error
    except (csv.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _unreadable(path, told[:300]) from error


def to_neuronpedia(rows: Iterable[JsonObject], model_id: str, layer_id: str) -> list[JsonObject]:
    """Labels in the fields of Neuronpedia's explanations, whose import is its administrators'.

    Args:
        rows: by `COLUMNS`.
        model_id: Neuronpedia's name of the model.
        layer_id: its name of a layer's cells, with ``{layer}`` for the number: "{layer}-mlp".
    """
    found = []
    for row in rows:
        cell = CellId.parse(row["cell"])
        notes = [f"sign {row['sign']}"] if row["sign"] == -1 else []
        notes += [row["note"]] if row["note"] else []
        stack = f"{cell.stack}." if cell.stack else ""
        source = layer_id.replace("{layer}", f"{stack}{cell.layer}") + (
            f"-e{cell.expert}" if cell.expert is not None else ""
        )
        source += f"-dictionary-{cell.dictionary}" if cell.dictionary else ""
        found.append(
            {
                "modelId": model_id,
                "layer": source,
                "index": str(cell.index),
                "description": row["text"],
                "typeName": f"ffmem_{row['source']}",
                "explanationModelName": row["author"] if row["source"] == "lm" else "",
                "notes": "; ".join(notes),
                "authorId": row["author"] if row["source"] != "lm" else "",
                "scores": [
                    {
                        "value": one["value"],
                        "explanationScoreTypeName": one["measure"],
                        "explanationScoreModelName": one["judge"],
                        "jsonDetails": json_text(
                            {n: v for n, v in one.items() if n not in ("value", "measure", "judge")}
                        ),
                    }
                    for one in row["scores"]
                ],
            }
        )
    return found


def _of_json(found: Any) -> Iterator[JsonObject]:
    if isinstance(found, dict):
        found = found.get("labels", [found])
    if not isinstance(found, list):
        raise ValueError("it is neither a list of labels nor an object with one")
    for row in found:
        if not isinstance(row, dict):
            raise ValueError(f"{str(row)[:80]!r} is no label")
        if "scored_explanations" in row:
            yield from _of_openai(row)
        elif "description" in row:
            yield _of_neuronpedia(row)
        else:
            yield _typed(row)


def _of_neuronpedia(row: JsonObject) -> JsonObject:
    match = _LAYER.fullmatch(str(row["layer"]))
    if match is None:
        raise ValueError(f"the layer {row['layer']!r} has no number")
    stack = f"{match['stack']}." if match["stack"] else ""
    group = (
        f".e{match['expert']}"
        if match["expert"] is not None
        else f".{match['dictionary']}"
        if match["dictionary"]
        else ""
    )
    notes = str(row.get("notes") or "")
    sign = -1 if _SIGN.match(notes) else 1
    given = {name: row[name] for name in ("modelId", "layer", "typeName", "scores") if row.get(name)}
    return _typed(
        {
            "cell": f"{stack}L{match['layer']}{group}.{row['index']}",
            "sign": sign,
            "source": "import",
            "text": str(row["description"]),
            "kind": str(row.get("typeName") or ""),
            "author": str(row.get("explanationModelName") or row.get("authorId") or "neuronpedia"),
            "note": _SIGN.sub("", notes, count=1) if sign == -1 else notes,
            "evidence": {"from": "neuronpedia", "given": given},
        }
    )


def _of_openai(row: JsonObject) -> Iterator[JsonObject]:
    """What Bills et al. 2023 published: the explanation that they score highest comes last, and so is the one that counts."""
    cell = f"L{int(row['neuron_id']['layer_index'])}.{int(row['neuron_id']['neuron_index'])}"
    scored = [(_score(one), str(one["explanation"])) for one in row["scored_explanations"]]
    for score, text in sorted(scored, key=lambda one: -2.0 if one[0] is None else one[0]):
        evidence = {"from": "openai", "given": {"ev_correlation_score": score}}
        yield _typed({"cell": cell, "source": "import", "text": text.strip(), "author": "openai", "evidence": evidence})


def _score(explanation: JsonObject) -> float | None:
    simulation = explanation.get("scored_simulation") or {}
    found = simulation.get("ev_correlation_score")
    return float(found) if isinstance(found, int | float) else None


_DEFAULTS: JsonObject = {
    "sign": 1, "source": "human", "kind": "", "grade": "", "author": "", "note": "", "tags": [], "evidence": {},
    "scores": [], "run": None, "rejected_by": None, "adjudicated": False, "made": "", "index": "", "weights": "",
}  # fmt: skip
_TYPES: dict[str, Callable[[Any], bool]] = {
    "cell": lambda one: isinstance(one, str),
    "text": lambda one: isinstance(one, str),
    "tags": lambda one: isinstance(one, list) and all(isinstance(tag, str) for tag in one),
    "evidence": lambda one: isinstance(one, dict),
    "scores": lambda one: isinstance(one, list) and all(isinstance(score, dict) for score in one),
    "run": lambda one: one is None or isinstance(one, dict),
    "rejected_by": lambda one: one is None or isinstance(one, str),
}


def _typed(row: Mapping[str, Any]) -> JsonObject:
    """A label with all of its columns, each of its type."""
    unknown = sorted(row.keys() - set(COLUMNS))
    if unknown:
        raise ValueError(f"it has a column {unknown[0][:80]!r}; expected {', '.join(COLUMNS)}")
    found = _DEFAULTS | {name: _value(name, value) for name, value in row.items() if value is not None and value != ""}
    if "cell" not in found:
        raise ValueError("cell is missing")
    found = {"text": ""} | found
    for name, value in found.items():
        fits = _TYPES.get(name) or (lambda one, name=name: type(one) is type(_DEFAULTS[name]))  # type: ignore[misc]
        if not fits(value):
            raise ValueError(f"the {name} of {str(found.get('cell'))[:40]} is {str(value)[:80]!r}")
    return {name: found[name] for name in COLUMNS}


def _value(name: str, value: Any) -> Any:
    if name in _AS_JSON and isinstance(value, str):
        if name == "tags" and not value.lstrip().startswith("["):
            return [one.strip() for one in value.split(",") if one.strip()]  # as a person writes them
        return parse_json(value)
    if name == "sign" and isinstance(value, str):
        return int(value)
    if name == "adjudicated" and isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    return value


def _flat(row: JsonObject) -> dict[str, str]:
    """As text; what is empty anyway is left so."""
    found = {}
    for name in COLUMNS:
        value = row[name]
        if value is None or value is False or value == [] or value == {}:
            found[name] = ""
        elif name in _AS_JSON:
            found[name] = json.dumps(value, ensure_ascii=False, sort_keys=True)
        else:
            found[name] = "true" if value is True else str(value)
    return found


def _parquet(rows: list[JsonObject]) -> bytes:
    extra_module("pyarrow", "parquet", "nothing can be exported as Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = [_flat(row) for row in rows]
    schema = pa.schema([(name, pa.int8() if name == "sign" else pa.string()) for name in COLUMNS])
    columns = {name: [row[name] for row in flat] for name in COLUMNS} | {"sign": [row["sign"] for row in rows]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue())


def _from_parquet(path: Path) -> list[JsonObject]:
    extra_module("pyarrow", "parquet", "the labels cannot be read")
    import pyarrow.parquet as pq

    with foreign_errors(str(path)):
        rows: list[JsonObject] = pq.read_table(path).to_pylist()
    return rows


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path} ends in {suffix or 'nothing'!r}", f"Expected one of: {', '.join(SUFFIXES)}", "Write labels.jsonl"
        )
    return suffix


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be read as labels: {why}",
        f"Expected rows with cell and text, and no columns but {', '.join(COLUMNS)}; or explanations of Neuronpedia or OpenAI",
        "Mend it, or export it again: ffmem labels export DIR labels.jsonl",
    )
