"""What other libraries and the system raise, in our words: the one table from their errors to ours.

Used where they are called (loading, forward passes, files) and, as a last resort, by the command line.
"""

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffmem.errors import FfmemError, InputError, ModelError, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def foreign_errors(what: str) -> Iterator[None]:
    """Turn what other libraries raise inside into errors of ffmem; what is not known passes as it is, since it is a bug.

    Args:
        what: the thing that is read, written or computed, for messages.
    """
    try:
        yield
    except FfmemError:
        raise
    except Exception as error:
        told = explained(error, what)
        if told is None:
            raise
        raise told from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine, or a GPU, had no memory left: Python, numpy and torch say so in types of their own."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (
            isinstance(error, RuntimeError)
            and bool(re.search(r"can't allocate memory|CUDA out of memory|std::bad_alloc", text))
        )
    )


def explained(error: BaseException, what: str = "") -> FfmemError | None:
    """An error of ours for one of another library's; None if it is of no kind that is known.

    Args:
        error: theirs.
        what: the thing that was read, written or computed, if it is known.
    """
    if isinstance(error, FfmemError):
        return error
    if is_out_of_memory(error):
        return _no_memory(error, what)
    if isinstance(error, sqlite3.DatabaseError):
        return _of_sqlite(error, what)
    if isinstance(error, OSError):
        return _of_the_system(error, what)
    if isinstance(error, ModuleNotFoundError):
        return _no_module(error)
    module = type(error).__module__.split(".")[0]
    line = first_line(error)
    if module == "pyarrow" or type(error).__name__.startswith("Arrow"):
        return InputError(
            f"{what or 'a Parquet file'} cannot be read: {line}",
            "Expected a whole Parquet file",
            "Copy or download it again",
        )
    if type(error).__name__ == "SafetensorError":
        return StoreError(
            f"{what or 'a safetensors file'} cannot be read: {line}",
            "Expected a whole safetensors file",
            "Copy or download it again",
        )
    if isinstance(error, RuntimeError) and "cannot cache function" in line:
        return InputError(
            f"numba finds no folder for its compiled functions: {line}",
            "Expected a folder that this user may write to",
            "Name one: export NUMBA_CACHE_DIR=/tmp/numba",
        )
    if isinstance(error, (RuntimeError, AssertionError)) and re.search(r"CUDA|NVIDIA driver|cuda", line):
        return InputError(
            f"the GPU cannot be used: {line}",
            "Expected a GPU that torch can use",
            "Write --device cpu, or look at nvidia-smi",
        )
    if isinstance(error, RuntimeError) and "home directory" in line:
        return InputError(
            f"this user has no home folder: {line}",
            "Expected one, for caches",
            "Name one: export HOME=/tmp, or FFMEM_CACHE=/tmp/ffmem",
        )
    if isinstance(error, RecursionError):
        return InputError(f"{what or 'the input'} is nested too deeply", "Expected fewer levels", "Check the file")
    return None


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _no_memory(error: BaseException, what: str) -> FfmemError:
    return ModelError(
        f"there is not enough memory{f' for {what}' if what else ''}: {first_line(error)}",
        "Expected enough memory for the model, one batch and the lists of its cells, for each worker",
        "Write fewer --workers or a smaller --batch-tokens, or index fewer cells with --cells; ffmem index "
        "--plan says what is needed",
    )


def _of_sqlite(error: sqlite3.DatabaseError, what: str) -> FfmemError:
    text, name = str(error), what or "a database of the index"
    if "locked" in text or "busy" in text:
        return StoreError(
            f"{name} is in use by another process: {text}",
            "Expected exclusive access for a moment",
            "Wait until the other process is done, and run the same command again",
        )
    if "full" in text or "disk I/O" in text:
        return no_room(name)
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return StoreError(
            f"{name} cannot be opened or written: {text}",
            "Expected a file that this user may write to",
            "Change its permissions, or copy the folder to where you may write",
        )
    if (
        isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError)
        and "malformed" not in text
    ):
        return None if isinstance(error, sqlite3.ProgrammingError) else _damaged(name, text)  # type: ignore[return-value]
    return _damaged(name, text)


def _damaged(name: str, text: str) -> StoreError:
    return StoreError(
        f"{name} is damaged: {text}",
        "Expected a database as ffmem wrote it",
        "Run `ffmem verify --files-only` on the index; copy the file again, or rebuild the index",
    )


def no_room(what: str) -> StoreError:
    """The error of a disk, or a quota, that is full."""
    return StoreError(
        f"no space left while writing {what}",
        "Expected free space on this disk (or under this user's quota)",
        "Free some space and run the same command again: what is finished is kept",
    )


def _of_the_system(error: OSError, what: str) -> FfmemError | None:
    path = error.filename if isinstance(error.filename, str | bytes | Path) else ""
    name = str(path.decode(errors="backslashreplace") if isinstance(path, bytes) else path) or what or "a file"
    reason = error.strerror or first_line(error)
    if error.errno in _FULL:
        return no_room(name)
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"{name} cannot be read or written: {reason}",
            "Expected a file or folder that this user may use",
            "Change its permissions, or choose another folder; for a folder of caches: export HOME=..., or "
            "FFMEM_CACHE, HF_HOME and "
            "NUMBA_CACHE_DIR",
        )
    told = {
        errno.ENOENT: ("does not exist, and cannot be made there", "Expected it there", "Check the path"),
        errno.ENOTDIR: (
            "is below a file, not a folder",
            "Expected a folder",
            "Choose another path, or move that file away",
        ),
        errno.EISDIR: ("is a folder", "Expected a file", "Give a file, or move that folder away"),
        errno.EEXIST: ("already exists", "Expected a new name", "Choose another path, or move that file away"),
        errno.ENOTEMPTY: ("is a folder that is not empty", "Expected a new or empty one", "Choose another folder"),
        errno.ENAMETOOLONG: (
            f"is too long a path: {len(name):,} characters",
            "Expected at most 255 a part, and 4,096 in all",
            "Choose a shorter path",
        ),
        errno.ELOOP: ("is a link that leads to itself", "Expected a file or folder", "Remove that link"),
        errno.EMFILE: (
            "cannot be opened: too many files are open",
            "Expected fewer open files",
            "Raise the limit: ulimit -n 4096",
        ),
        errno.EIO: (
            "cannot be read: its disk fails",
            "Expected a disk without errors",
            "Copy what can be read to another disk",
        ),
        errno.ESTALE: ("has disappeared from its network disk", "Expected it there", "Run the same command again"),
        errno.EADDRINUSE: ("is an address in use", "Expected a free port", "Choose another with --port"),
    }.get(error.errno or 0)
    if told is not None:
        return InputError(f"{name} {told[0]}", told[1], told[2])
    if isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, BrokenPipeError):
        return InputError(f"the network failed: {reason}", "Expected a connection", "Run the same command again")
    if error.errno is None:  # libraries raise it for what they find in files, without a number
        return InputError(
            f"{what or 'a file'} cannot be read: {reason}", "Expected a whole file", "Copy or download it again"
        )
    return StoreError(
        f"{name} cannot be read or written: {reason}", "Expected a disk that works", "Check the path and its disk"
    )


def _no_module(error: ModuleNotFoundError) -> InputError | None:
    name = (error.name or "").split(".")[0]
    if not name or name == "ffmem":
        return None
    return InputError(
        f"the package {name} is not installed", "Expected everything that ffmem depends on", f"pip install {name}"
    )


def bug(error: BaseException) -> str:
    """What to say of an error that nobody foresaw, in three parts like any other."""
    return (
        f"{type(error).__name__}: {first_line(error)}. This is a bug of ffmem: expected an answer, or an "
        "error that says what to do. "
        "Run the same command with --debug, and report the traceback, the command and the version (ffmem --version)"
    )
