"""Files that are whole or absent, and arrays of a file as another library wrote them."""

import errno
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save_file

from ffmem import FfmemError, InputError, StoreError
from ffmem.store.files import (
    atomic_file,
    atomic_write,
    disk_errors,
    map_arrays,
    parse_json,
    sha256_of,
    sha256_of_each,
    write_json,
)

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]


@given(st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))),
    max_size=4,
))  # fmt: skip
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arrays_are_those_that_safetensors_wrote(tmp_path: Path, written: dict[str, np.ndarray]) -> None:
    save_file(written, tmp_path / "a.safetensors", metadata={"any": "thing"})
    found = map_arrays(tmp_path / "a.safetensors")
    assert found.keys() == written.keys()
    for name, array in written.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
        assert not found[name].flags.writeable or not array.size


def test_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    save_file({"a": np.zeros(1)}, path)
    header = json.dumps({"a": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**40)  # a terabyte that is not there
    assert map_arrays(path)["a"][2**39] == 0


def file_with(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (entry(dtype="BF16"), "'BF16'"),
        (entry(shape=[3]), r"an array at bytes 0 to 8 with shape \(3,\) in 8 bytes of data"),
        (entry(offsets=[0, 12]), "an array at bytes 0 to 12"),
        (entry(offsets=[8, 0]), "an array at bytes 8 to 0"),
        (entry(offsets=[-8, 0]), "an array at bytes -8 to 0"),
        (entry(offsets=[0]), "values to unpack"),
        (entry(shape=[-1, -2]), "."),
        (entry(shape=[2**62, 2**62, 0, 2], offsets=[0, 0]), "."),  # no product of them is ever taken in 64 bits
        (entry(shape="2"), "."),
        ({"a": {"dtype": "F32", "shape": [2]}}, "data_offsets"),
        ({"a": [1, 2]}, "."),
        ([], "."),
        (b'{"a": 1, "a": 2}', "a name is given twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[" * 50_000, "."),
        (b"\xff\xfe", "."),
    ],
)
def test_a_header_that_lies_is_an_error_and_no_array(tmp_path: Path, header: object, told: str) -> None:
    with pytest.raises(StoreError, match=rf"a\.safetensors is damaged: .*{told}"):
        map_arrays(file_with(tmp_path / "a.safetensors", header, b"\0" * 8))


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x10" + b"\x00" * 7 + b"not json at all!"])
def test_a_file_that_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.safetensors is damaged"):
        map_arrays(tmp_path / "x.safetensors")


def test_a_file_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": np.arange(3, dtype=np.float32), "b": np.arange(5, dtype=np.uint8)}, path)
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(StoreError, match=r"a\.safetensors is damaged"):
            map_arrays(path)
    path.unlink()
    with pytest.raises(
        StoreError, match=r"a\.safetensors is damaged: it is missing\. Expected a file as `ffmem index`"
    ):
        map_arrays(path)


@given(st.binary(max_size=300_000))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hash_is_that_of_the_bytes(tmp_path: Path, data: bytes) -> None:
    atomic_write(tmp_path / "a", data)
    assert (tmp_path / "a").read_bytes() == data
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_hashes_of_several_files_stand_in_their_order(tmp_path: Path) -> None:
    contents = [bytes([n]) * n * 20_000 for n in (9, 0, 3, 7, 1, 8)]
    for n, data in enumerate(contents):
        (tmp_path / str(n)).write_bytes(data)
    paths = [tmp_path / str(n) for n in range(6)]
    assert sha256_of_each(paths) == [hashlib.sha256(data).hexdigest() for data in contents]
    assert sha256_of_each([]) == []
    with pytest.raises(FileNotFoundError):
        sha256_of_each([*paths, tmp_path / "missing"])


def test_what_is_written_can_be_read_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1.5, None], "b": "日本"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "é": [\n  1.5,\n  null\n ],\n "b": "日本"\n}\n'
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644  # a temporary file is for its owner only
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("there", [True, False])
def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "a"
    if there:
        path.write_bytes(b"old")

    def stop_half_way() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert [one.read_bytes() for one in tmp_path.iterdir()] == ([b"old"] if there else [])


def test_atomic_write_leaves_the_old_file_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    atomic_write(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(
        StoreError, match=r"no space left while writing .*Free some space and run the same command again"
    ):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def raised_in(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        with disk_errors(Path("/x/a")):
            raise error

    return fail


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), StoreError, "no space left while writing /x/a"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), StoreError, "no space left while writing /x/a"),
        (sqlite3.OperationalError("database or disk is full"), StoreError, "no space left while writing /x/a"),
        (PermissionError(errno.EACCES, "Permission denied"), StoreError, "/x/a cannot be written: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system"), StoreError, "/x/a cannot be written: Read-only file system"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), InputError, "/x/a is below a file"),
    ],
)
def test_what_a_disk_says_in_our_words(error: BaseException, kind: type[FfmemError], told: str) -> None:
    with pytest.raises(kind, match=told) as caught:
        raised_in(error)()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), sqlite3.OperationalError("no such table: x"), ValueError("x")]
)
def test_what_a_disk_did_not_say_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        raised_in(error)()
    assert caught.value is error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 1}', "a name is given twice"),
        ('[{"b": {"a": 1, "c": 2, "a": 3}}]', "a name is given twice"),
        ("[NaN]", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ("{", "Expecting"),
        (b"\xff", "decode"),
    ],
)
def test_json_is_read_strictly(text: str | bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_json(text)
    assert parse_json('{"a": [1, {"a": 2.5}], "b": null}') == {"a": [1, {"a": 2.5}], "b": None}
