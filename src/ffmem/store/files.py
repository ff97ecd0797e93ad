"""Files that are whole or absent: atomic writes, hashes, and arrays mapped from safetensors files. Knows no model."""

import errno
import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ffmem.errors import FfmemError, StoreError
from ffmem.foreign import explained, no_room
from ffmem.json_values import JsonObject

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PLACES = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
"""What a path may be, that nothing can be written there."""
_MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format itself."""

_N_DIGESTING = min(4, os.cpu_count() or 1)
"""Files that are digested at a time; more would wait for the disk."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a disk that is full, or that we may not write to, into errors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise no_room(str(path)) from error
        raise
    except OSError as error:
        if error.errno in _PLACES:
            raise _no_place(path, error) from error
        if error.errno in _DISK_FULL:
            raise no_room(str(path)) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise StoreError(
                f"{path} cannot be written: {error.strerror}",
                "Expected a folder that this user may write to",
                "Change its permissions, or choose another folder with --out",
            ) from error
        raise


def _no_place(path: Path, error: OSError) -> FfmemError:
    found = explained(error, str(path))
    assert found is not None  # each of these numbers is known there
    return found


def atomic_write(path: Path, data: bytes | memoryview) -> None:
    """Put ``data`` at ``path`` whole or not at all, also if the machine stops: temp file, flush, fsync, rename."""
    with atomic_file(path) as file:
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is at ``path`` when all went well and nowhere otherwise: see `atomic_write`."""
    with disk_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Put a JSON document at ``path``, atomically; bytes of a file's name that are no UTF-8 are escaped, and read back."""
    atomic_write(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))


def parse_json(data: str | bytes) -> Any:
    """A JSON value of our own writing, read strictly.

    Raises:
        ValueError: also for a name given twice, and for NaN and infinity, which Python's reader would let pass.
    """
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def drop_unwritten(path: Path) -> None:
    """Delete what writers of a file left beside it when they were killed; only for who alone may write it."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut; a no-op where folders cannot be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_each(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of several files, in hex; several are read at a time, since a processor digests less than a disk gives."""
    from concurrent.futures import ThreadPoolExecutor  # who reads a cell digests nothing

    with ThreadPoolExecutor(max_workers=_N_DIGESTING) as pool:
        return list(pool.map(sha256_of, paths))


_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, memory-mapped and read-only.

    Opens in well under a millisecond and reads from disk what is looked at, nothing else.

    Raises:
        StoreError: missing, truncated, or not what a safetensors file is.
    """
    try:
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= n_header <= min(_MAX_HEADER_BYTES, size - 8):
                raise ValueError(f"a header of {n_header} bytes in a file of {size}")
            header = parse_json(file.read(n_header))
        raw = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + n_header) if size > 8 + n_header else _NOTHING
        raw = np.asarray(raw)  # a plain view: each look-up in a memmap makes another memmap, at ten times the cost
        return {name: _view(raw, spec) for name, spec in header.items() if name != "__metadata__"}
    except FileNotFoundError as error:
        raise damaged(path, "it is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError, OSError, ArithmeticError) as error:
        raise damaged(path, str(error)) from error


_NOTHING = np.empty(0, dtype=np.uint8)


def _view(raw: np.ndarray, spec: JsonObject) -> np.ndarray:
    dtype = np.dtype(_DTYPES[spec["dtype"]])
    begin, end = spec["data_offsets"]
    shape = tuple(spec["shape"])
    if not 0 <= begin <= end <= len(raw) or int(np.prod(shape, dtype=object)) * dtype.itemsize != end - begin:
        raise ValueError(f"an array at bytes {begin} to {end} with shape {shape} in {len(raw)} bytes of data")
    return raw[begin:end].view(dtype).reshape(shape)


def damaged(path: Path, why: str) -> StoreError:
    """The error for a file of an index that is not what was written."""
    return StoreError(
        f"{path} is damaged: {why}",
        "Expected a file as `ffmem index` wrote it",
        "Run `ffmem verify` on the index to see what else is damaged; copy the file again, or rebuild the index",
    )
