"""Where results lie: a folder beside an index, named by what decided them; one file for each experiment."""

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import StoreError
from ffmem.ids import CellId
from ffmem.index.files import atomic_write, map_arrays, parse_json, write_json
from ffmem.index.identity import hash_of
from ffmem.index.reader import Index
from ffmem.study.options import StudyOptions
from ffmem.version import __version__

FOLDER = "results"
_KEY_LENGTH = 12


class Results:
    """The results of one study. Each is written whole, so that a stopped study goes on from the last one.

    Args:
        index: what was studied.
        options: how.
        held_out: identity of the held-out corpus; None for the index's own held-out documents.
    """

    def __init__(self, index: Index, options: StudyOptions, held_out: dict[str, Any] | None) -> None:
        self.header = {
            "ffmem": __version__,
            "index": index.manifest["identity"],
            "options": options.to_json(),
            "held_out": held_out,
        }
        # the same text may lie elsewhere: its hash decides, not its name
        decides = self.header | {"index": index.manifest["files"], "options": options.to_json() | {"held_out": None}}
        self.key = hash_of(decides)[:_KEY_LENGTH]
        self.folder = index.folder / FOLDER / self.key
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "study.json", self.header | {"key": self.key})

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
        write_json(self.folder / f"{name}.json", {"key": self.key, "experiment": name, "result": plain(result)})

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays, memory-mapped."""
        return map_arrays(self.folder / f"{name}.safetensors")

    def save_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays."""
        from safetensors.numpy import save

        ready = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        ready = {key: value.astype(np.uint8) if value.dtype == bool else value for key, value in ready.items()}
        atomic_write(self.folder / f"{name}.safetensors", save(ready))


def plain(value: Any) -> Any:
    """As JSON has it: NaN and infinity become None."""
    if is_dataclass(value) and not isinstance(value, type | CellId):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, CellId) else value
