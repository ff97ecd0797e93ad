"""Models in formats that transformers cannot map: converted once to a folder that it can, and kept in a user's cache."""

import logging
import os
import shutil
from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path

import filelock

from ffmem.errors import InputError

log = logging.getLogger("ffmem")


def cache_folder() -> Path:
    """Where converted models lie: $FFMEM_CACHE, or ffmem in the user's cache folder."""
    chosen = os.environ.get("FFMEM_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ffmem"


def hash_of(*files: Path) -> str:
    """SHA-256 of a file's bytes; of several, of their hashes."""
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(file_digest(opened, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else sha256(" ".join(digests).encode()).hexdigest()


def place(name: str, digest: str) -> Path:
    """Where the folder of a converted model is, or would be."""
    return cache_folder() / "models" / f"{name}-{digest[:16]}"


def converted(name: str, digest: str, write: Callable[[Path], None]) -> Path:
    """The folder of a model, converted by ``write`` if the cache does not hold it yet.

    Args:
        name: what to call it.
        digest: hash of what it is made from.
        write: puts the model's files into a folder that does not exist yet. What it raises is passed on, after its folder
            is removed; only a lack of room is told here.

    Raises:
        InputError: the cache cannot be written to.
    """
    target = place(name, digest)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_keep(target.parent, error) from error
    with filelock.FileLock(target.with_name(f"{target.name}.lock")):
        if not target.is_dir():  # another process may have done it while we waited
            _write(target, write)
    return target


def _write(target: Path, write: Callable[[Path], None]) -> None:
    # one name, which the lock makes ours: what a killed conversion left goes before the next one
    building = target.with_name(f".{target.name}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        write(building)
        for written in building.iterdir():
            with written.open("rb") as opened:
                os.fsync(opened.fileno())
        os.replace(building, target)
    except Exception as error:
        told = error.__cause__ if isinstance(error, InputError) and error.__cause__ else error
        if "No space left" in str(told):  # safetensors wraps the system's error in a type without its number
            raise _cannot_keep(target.parent, told) from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _cannot_keep(folder: Path, error: BaseException) -> InputError:
    return InputError(
        f"the converted model cannot be kept in {folder}: {error}",
        "Expected a folder to write to, with space for the model as float32: up to ten times the original file",
        "Free some space, or name another folder: export FFMEM_CACHE=...",
    )
