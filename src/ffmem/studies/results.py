"""Where results lie: a folder named by what decided them, beside an index, a file for each experiment; typed both ways."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import numpy as np
from safetensors.numpy import save

from ffmem.errors import InputError, StoreError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.store.files import atomic_write, disk_errors, map_arrays, parse_json, write_json
from ffmem.store.identity import differences
from ffmem.store.reader import Index, open_index
from ffmem.version import __version__

FOLDER = "results"
HEADER = "study.json"
COSTS = "costs"
"""Seconds that each experiment took: kept apart, since they are no result."""
_FIRST_STUDY = "geva2021"
"""What a header is of that does not name its study, as older ones do not."""
_KEY_LENGTH = 12
Result = TypeVar("Result")


class Results:
    """The results of one study. Each is written whole, so that a stopped study goes on from the last one.

    Args:
        folder: their folder, with its ``study.json``.
        header: what stands there: version, what was studied, options, key.
    """

    def __init__(self, folder: Path, header: JsonObject) -> None:
        self.folder, self.header = folder, header
        self.key: str = header["key"]
        self.study: str = header.get("study", _FIRST_STUDY)

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.json").is_file()

    def load(self, name: str, result: type[Result]) -> Result:
        """A result as it was saved; NaN stands for what could not be estimated.

        Raises:
            StoreError: it is damaged, or of another study.
        """
        path = self.folder / f"{name}.json"
        try:
            read = parse_json(path.read_bytes())
            if read["key"] != self.key:
                raise ValueError(f"it is of the study {read['key']}")
            return _READ.structure(read["result"], result)
        except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
            raise StoreError(
                f"{path} is damaged: {_why(error)}",
                "Expected a file as `ffmem study` wrote it",
                "Delete it and run the same command again: the experiment is done once more",
            ) from error

    def save(self, name: str, result: Any) -> None:
        """Keep a result: dataclasses, lists, dictionaries, numbers."""
        write_json(self.folder / f"{name}.json", {"key": self.key, "experiment": name, "result": plain(result)})

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays, memory-mapped."""
        return map_arrays(self.folder / f"{name}.safetensors")

    def has_arrays(self, name: str) -> bool:
        """Whether there are arrays of that name."""
        return (self.folder / f"{name}.safetensors").is_file()

    def drop_arrays(self, name: str) -> None:
        """Remove arrays that are no longer needed, if they are there."""
        (self.folder / f"{name}.safetensors").unlink(missing_ok=True)

    def save_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays."""
        ready = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        ready = {key: value.astype(np.uint8) if value.dtype == bool else value for key, value in ready.items()}
        atomic_write(self.folder / f"{name}.safetensors", save(ready))


@dataclass(frozen=True)
class Findings:
    """What a study found so far, read back."""

    header: JsonObject
    """What was studied, and the options: see `Results`."""
    folder: Path
    values: Mapping[str, Any]
    """Results by the name of their experiment; what this subject cannot be asked is not there."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each experiment took."""
    controls: Mapping[str, "Findings"] = field(default_factory=dict)
    """What the same experiments found of each control, by its name."""
    controls_missing: Mapping[str, str] = field(default_factory=dict)
    """Why there is no such control, by its name."""

    def get(self, name: str, result: type[Result]) -> Result:
        """The result of an experiment that is there."""
        value = self.values[name]
        assert isinstance(value, result), (name, type(value))
        return value

    @cached_property
    def index(self) -> Index:
        """The index that was studied: the results lie beside it.

        Raises:
            StoreError: there is none.
        """
        return open_index(self.folder.resolve().parents[1]).without_dictionaries()

    def left_out(self) -> Iterator[tuple[str, str]]:
        """A fact about the dictionaries of the index, where it has some: no study of cells reads them."""
        names = [one.cells for one in self.index.manifest.options.attachments]
        if names:
            yield "dictionaries", f"left out of the study, which is of the model's own cells: {', '.join(names)}"

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self._subject["model"]["name"])

    @property
    def corpus(self) -> str:
        """Name of the corpus."""
        return str(self._subject["corpus"]["name"])

    @property
    def subject(self) -> str:
        """What was studied, in a few words."""
        return f"{self.model} on {self.corpus}"

    @property
    def _subject(self) -> JsonObject:
        """The identity of model and corpus."""
        subject: JsonObject = self.header["index"]
        return subject


def begin_results(
    folder: Path, header: JsonObject, decides: JsonObject | None = None, *, in_folder_itself: bool = False
) -> Results:
    """Where the results of a study lie, or are to lie.

    Args:
        folder: in which they get a folder of their own.
        header: what was studied (``index``: the identity of model and corpus) and the ``options``.
        decides: what tells it from others, if that is not the header: the same thing may have several names.
        in_folder_itself: ``folder`` is for this study alone, and gets the results without another folder in between.

    Raises:
        InputError: ``in_folder_itself``, and there are results of something else.
    """
    header = {"ffmem": __version__, **header}
    decides = {"ffmem": __version__, **(decides or header)}
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]
    own = folder if in_folder_itself else folder / key
    if in_folder_itself and (own / HEADER).is_file():
        _check_same(open_results(own), Results(own, header | {"key": key}))
    with disk_errors(own):
        own.mkdir(parents=True, exist_ok=True)
    write_json(own / HEADER, header | {"key": key})
    return Results(own, header | {"key": key})


def _check_same(there: Results, asked: Results) -> None:
    if there.key == asked.key:
        return
    differs = differences(_identity(there), _identity(asked)) or "what it has read"
    raise InputError(
        f"{there.folder} holds results of something else: {differs}",
        "Expected a folder without results, or the same model, text and options as those that it has",
        "Choose another folder with --out",
    )


def _identity(results: Results) -> JsonObject:
    header = results.header
    return {"study": results.study, "ffmem": header["ffmem"], **header["index"], "options": header["options"]}


def results_in(folder: str | Path) -> list[Path]:
    """The folders of results that a folder is, or has beside it."""
    folder = Path(folder)
    if (folder / HEADER).is_file():
        return [folder]
    return sorted(path.parent for path in [*folder.glob(f"*/{HEADER}"), *folder.glob(f"{FOLDER}/*/{HEADER}")])


def open_results(folder: str | Path) -> Results:
    """The results that lie in a folder, or the only ones beside an index.

    Args:
        folder: of an index, or of results.

    Raises:
        InputError: there are none, or several.
        StoreError: they are damaged.
    """
    there = results_in(folder)
    if len(there) != 1:
        several = ", ".join(map(str, there))
        raise InputError(
            f"{folder} has {f'{len(there)} studies: {several}' if there else 'no results of a study'}",
            "Expected an index with the results of one study, or the folder of results",
            f"Name one of them, for example {there[0]}" if there else f"Make them: ffmem reproduce {folder}",
        )
    try:
        return Results(there[0], parse_json((there[0] / HEADER).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{there[0] / HEADER} is damaged: {error}",
            "Expected a file as `ffmem study` wrote it",
            "Run the same `ffmem study` command again: it writes it anew",
        ) from error


def plain(value: Any) -> Any:
    """Plain JSON values of a record and of all in it, field by field whatever it says of itself: so it can be read back."""
    if is_dataclass(value) and not isinstance(value, type | CellId):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, frozenset):
        return [plain(inner) for inner in sorted(value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, CellId) else value


_READ = cattrs.Converter(forbid_extra_keys=False)
_READ.register_structure_hook(CellId, lambda value, _: CellId.parse(value))
_READ.register_structure_hook(float, lambda value, _: math.nan if value is None else float(value))


def _why(error: Exception) -> str:
    if isinstance(error, cattrs.BaseValidationError):
        return "; ".join(cattrs.transform_error(error)[:3])
    return str(error)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A table with the names of its columns above; an empty line for no rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [names, *([row.get(name, "") for name in names] for row in rows)]
    return "".join(map(_csv_line, table)).encode()


def _csv_line(values: Sequence[Any]) -> str:
    """Written as if lines ended in CR and LF: Python quotes what they end in, and a text with a CR alone needs it too."""
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return f"{text.getvalue()[:-2]}\n"
