"""What the files of an index hold, read by other libraries than the ones that the explorer reads them with."""

import json
import sqlite3
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

NO_TOKEN = 2**32 - 1


@lru_cache(maxsize=32)
def layer_arrays(folder: Path, place: int) -> dict[str, np.ndarray]:
    """The arrays of a layer, by name."""
    return load_file(folder / "index" / "layers" / f"L{place:03}.safetensors")


@lru_cache(maxsize=8)
def token_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Ids and bytes of all tokens of the text."""
    return load_file(folder / "index" / "tokens.safetensors")


def asked(folder: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the text of an index."""
    connection = sqlite3.connect(folder / "index" / "text.sqlite")
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def token_text(folder: Path, token_id: int) -> str:
    """A token of the vocabulary."""
    ((text,),) = asked(folder, "SELECT token FROM vocabulary WHERE token_id = ?", int(token_id))
    return str(text)


def sentence_at(folder: Path, token: int) -> tuple[int, int, str, str]:
    """(sentence, position in it, its text, the firing token) of a token index."""
    tokens = token_arrays(folder)
    sentence = int(np.searchsorted(tokens["sentence_start"], token, side="right")) - 1
    position = int(token) - int(tokens["sentence_start"][sentence])
    ((text,),) = asked(folder, "SELECT text FROM sentences WHERE id = ?", sentence)
    begin, end = int(tokens["token_start"][token]), int(tokens["token_end"][token])
    return sentence, position, text, text.encode()[begin:end].decode("utf-8", "backslashreplace")


def total(parts: np.ndarray) -> np.ndarray:
    """A stored sum: whole numbers and multiples of 2**-40."""
    return np.array([int(whole) + int(rest) / 2**40 for whole, rest in parts.T])


def manifest(folder: Path) -> dict[str, Any]:
    """What the manifest says."""
    return dict(json.loads((folder / "manifest.json").read_text()))
