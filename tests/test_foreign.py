"""Errors of other libraries and of the system in our words: each has three parts and the right mend, and no traceback."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ffmem import FfmemError, InputError, ModelError, StoreError
from ffmem.foreign import bug, explained, foreign_errors


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/a"), StoreError, "no space left while writing /x/a"),
        (OSError(errno.EROFS, "Read-only file system", "/x/a"), StoreError, "/x/a cannot be read or written"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/a"), StoreError, "/x/a cannot be read or written"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "b" * 300),
            InputError,
            "is too long a path: 300 characters",
        ),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/a"), InputError, "is below a file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x/a"), InputError, "/x/a is a folder"),
        (FileExistsError(errno.EEXIST, "File exists", "/x/a"), InputError, "/x/a already exists"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x/a"), InputError, "/x/a does not exist"),
        (OSError(errno.EMFILE, "Too many open files", "/x/a"), InputError, "ulimit -n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ModelError, "--batch-tokens"),
        (OSError("Couldn't deserialize"), InputError, "Copy or download it again"),
        (MemoryError(), ModelError, "there is not enough memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            ModelError,
            "not enough memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate"), ModelError, "not enough memory"),
        (RuntimeError("Found no NVIDIA driver on your system"), InputError, "--device cpu"),
        (RuntimeError("cannot cache function 'f': no locator available"), InputError, "NUMBA_CACHE_DIR"),
        (RuntimeError("Could not determine home directory."), InputError, "export HOME="),
        (sqlite3.OperationalError("database is locked"), StoreError, "in use by another process"),
        (sqlite3.OperationalError("database or disk is full"), StoreError, "no space left"),
        (sqlite3.OperationalError("attempt to write a readonly database"), StoreError, "Change its permissions"),
        (sqlite3.OperationalError("unable to open database file"), StoreError, "cannot be opened or written"),
        (sqlite3.DatabaseError("database disk image is malformed"), StoreError, "is damaged"),
        (sqlite3.DatabaseError("file is not a database"), StoreError, "is damaged"),
        (ModuleNotFoundError("No module named 'duckdb'", name="duckdb"), InputError, "pip install duckdb"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), InputError, "the network failed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_error_of_another_library(error: Exception, kind: type[FfmemError], told: str) -> None:
    found = explained(error)
    assert type(found) is kind and told in str(found)
    assert found.got and found.expected.startswith("Expected") and found.mend
    with pytest.raises(kind) as raised, foreign_errors("something"):
        raise error
    assert raised.value.__cause__ is error


def test_errors_of_safetensors_and_pyarrow(tmp_path: Path) -> None:
    import pyarrow.parquet
    from safetensors import SafetensorError, safe_open

    (tmp_path / "a").write_bytes(b"x" * 50)
    with pytest.raises(SafetensorError) as raised:
        safe_open(tmp_path / "a", framework="np")
    assert "cannot be read" in str(explained(raised.value, "a.safetensors"))
    with pytest.raises(pyarrow.ArrowInvalid) as not_parquet:
        pyarrow.parquet.read_table(tmp_path / "a")
    assert "Expected a whole Parquet file" in str(explained(not_parquet.value, "a.parquet"))


def test_our_own_errors_and_bugs_pass_as_they_are() -> None:
    own = InputError("a", "b", "c")
    assert explained(own) is own
    for unknown in (ValueError("x"), KeyError("x"), ZeroDivisionError("x"), sqlite3.ProgrammingError("closed")):
        assert explained(unknown) is None
        with pytest.raises(type(unknown)), foreign_errors("something"):
            raise unknown
    assert bug(KeyError("x")).startswith("KeyError: 'x'. This is a bug of ffmem") and "--debug" in bug(KeyError("x"))


RUN = """
import sys
from ffmem import cli
def fail(*arguments, **named):
    {raising}
cli.app = fail
sys.argv = ["ffmem", "info", "x"] + {more}
cli.main()
"""


def run(raising: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN.format(raising=raising, more=list(more))]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)


def test_the_command_line_shows_no_traceback() -> None:
    known = run("raise NotADirectoryError(20, 'Not a directory', '/x/a')")
    assert known.returncode == 2 and known.stderr == (
        "ffmem: /x/a is below a file, not a folder. Expected a folder. Choose another path, or move that file away.\n"
    )
    unknown = run("raise ZeroDivisionError('division by zero')")
    assert unknown.returncode == 1 and unknown.stderr.startswith(
        "ffmem: ZeroDivisionError: division by zero. This is a bug"
    )
    assert "Traceback" not in unknown.stderr
    assert "Traceback" in run("raise ZeroDivisionError('division by zero')", "--debug").stderr
