"""Where results lie: a folder beside an index, named by what decided them; one file for each experiment."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ffmem.errors import InputError, StoreError
from ffmem.json_values import to_json
from ffmem.store.files import atomic_write, map_arrays, parse_json, write_json
from ffmem.store.reader import Index
from ffmem.version import __version__

FOLDER = "results"
_HEADER = "study.json"
_KEY_LENGTH = 12


class Options(Protocol):
    """What decides what a study finds."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, in the order of definition."""
        ...


class Results:
    """The results of one study. Each is written whole, so that a stopped study goes on from the last one.

    Args:
        folder: their folder, with its ``study.json``.
        header: what stands there: version, index, options, held-out text, key.
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self.folder, self.header = folder, header
        self.key: str = header["key"]

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.json").is_file()

    def load(self, name: str) -> Any:
        """A result as plain JSON values; None stands for what could not be estimated.

        Raises:
            StoreError: it is damaged, or of another study.
        """
        path = self.folder / f"{name}.json"
        try:
            found = parse_json(path.read_bytes())
            if found["key"] != self.key:
                raise ValueError(f"it is of the study {found['key']}")
            return found["result"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged: {error}",
                "Expected a file as `ffmem reproduce` wrote it",
                "Delete it and run the same command again: the experiment is done once more",
            ) from error

    def save(self, name: str, result: Any) -> None:
        """Keep a result: dataclasses, lists, dictionaries, numbers."""
        write_json(self.folder / f"{name}.json", {"key": self.key, "experiment": name, "result": to_json(result)})

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays, memory-mapped."""
        return map_arrays(self.folder / f"{name}.safetensors")

    def save_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays."""
        from safetensors.numpy import save

        ready = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        ready = {key: value.astype(np.uint8) if value.dtype == bool else value for key, value in ready.items()}
        atomic_write(self.folder / f"{name}.safetensors", save(ready))


def results_of(index: Index, options: Options, held_out: dict[str, Any] | None = None) -> Results:
    """Where the results of a study lie, or are to lie.

    Args:
        index: what is studied.
        options: how.
        held_out: identity of the held-out corpus; None for the index's own held-out documents.
    """
    header = {
        "ffmem": __version__,
        "index": index.manifest["identity"],
        "options": options.to_json(),
        "held_out": held_out,
    }
    # an index is what its files hold; a held-out text is what its identity says, wherever it lies
    decides = header | {"index": index.manifest["files"], "options": options.to_json() | {"held_out": None}}
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]
    folder = index.folder / FOLDER / key
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _HEADER, header | {"key": key})
    return Results(folder, header | {"key": key})


def open_results(folder: str | Path) -> Results:
    """The results that lie in a folder, or the only ones of an index.

    Args:
        folder: of an index, or of results.

    Raises:
        InputError: there are none, or several.
        StoreError: they are damaged.
    """
    folder = Path(folder)
    beside = sorted(path.parent for path in folder.glob(f"{FOLDER}/*/{_HEADER}"))
    found = [folder] if (folder / _HEADER).is_file() else beside
    if len(found) != 1:
        several = ", ".join(map(str, found))
        raise InputError(
            f"{folder} has {f'{len(found)} studies: {several}' if found else 'no results of a study'}",
            "Expected an index with the results of one study, or the folder of results",
            f"Name one of them, for example {found[0]}" if found else f"Make them: ffmem reproduce {folder}",
        )
    try:
        return Results(found[0], parse_json((found[0] / _HEADER).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{found[0] / _HEADER} is damaged: {error}",
            "Expected a file as `ffmem reproduce` wrote it",
            "Run `ffmem reproduce` again: it writes it anew",
        ) from error


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A table with the names of its columns above; nothing at all for no rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
