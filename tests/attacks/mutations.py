"""Damage to a finished index, drawn from a seed."""

import json
import os
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

ODD_VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 2**31, 2**32, 2**63, 2**64, 10**30, 0.5, 1e300, float("nan"), float("inf"), "", "x",
    "0", "\0", "\ud800", "../../etc/passwd", "/dev/zero", [], [0], [None], {}, {"a": 1}, [[]], "x" * 10_000, b"raw"
]  # fmt: skip


def mutate(folder: Path, other: Path, seed: int) -> str:
    """Damage an index once, at times also the lengths in its manifest so that they agree; what was done, in words.

    Args:
        folder: the index.
        other: another index, to take files from.
        seed: what to do.
    """
    rng = random.Random(seed)
    kind = rng.choice(list(_KINDS))
    what = _KINDS[kind](folder, other, rng)
    agreeing = kind != "manifest" and rng.random() < 0.6
    if agreeing:
        _renew_lengths(folder)
    return f"{kind}: {what}{', lengths agree' if agreeing else ''}"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "index").rglob("*") if path.is_file())


def _renew_lengths(folder: Path) -> None:
    path = folder / "manifest.json"
    if not path.is_file():
        return
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError:  # it is what was damaged
        return
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        return
    for name, entry in manifest["files"].items():
        if (folder / name).is_file():
            entry["bytes"] = (folder / name).stat().st_size
    path.write_text(json.dumps(manifest))


def _bits(folder: Path, other: Path, rng: random.Random) -> str:
    path = rng.choice(files_of(folder))
    data = bytearray(path.read_bytes())
    reach = len(data) if rng.random() < 0.6 else min(len(data), 2000)  # headers are small and worth more
    places = [rng.randrange(reach) for _ in range(rng.choice([1, 1, 1, 2, 30]))]
    for place in places:
        data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"{path.name}, bits at {places[:3]}"


def _length(folder: Path, other: Path, rng: random.Random) -> str:
    path = rng.choice([*files_of(folder), folder / "manifest.json"])
    data = path.read_bytes()
    n = rng.choice([0, 1, 7, 8, 9, rng.randrange(len(data)), len(data) - 1, len(data) + 1, len(data) + 4096])
    path.write_bytes(data[:n] + b"\0" * (n - len(data)))
    return f"{path.name} of {len(data)} bytes has {n}"


def _range(folder: Path, other: Path, rng: random.Random) -> str:
    path = rng.choice(files_of(folder))
    data = bytearray(path.read_bytes())
    place, n = rng.randrange(len(data)), rng.choice([4, 8, 64, 512, 4096])
    filler = rng.choice([b"\0", b"\xff", b"\x7f", b"\x80"])
    data[place : place + n] = filler * len(data[place : place + n])
    path.write_bytes(data)
    return f"{path.name}, {n} bytes from {place} are {filler!r}"


def _header(folder: Path, other: Path, rng: random.Random) -> str:
    path = rng.choice([path for path in files_of(folder) if path.suffix == ".safetensors"])
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    name = rng.choice([name for name in header if name != "__metadata__"])
    how = rng.choice(
        ["dtype", "shape", "data_offsets", "entry", "gone", "axis", "twice", "text", "length", "deep", "root"]
    )
    if how in ("dtype", "shape", "data_offsets"):
        dtypes = ["F64", "F32", "I32", "U16", "U8", "I64", "BF16", "BOOL", *ODD_VALUES[:-1]]
        pairs = [[0, 0], [0, -1], [-8, 8], [0, 2**63], [1, 9], [10**30, 10**30], [0.0, 4.0], ["0", "4"], [0]]
        shapes = [[0, 10**30], [-1], [-1, -4], [2**62, 4], [1] * 100, [2.0], ["a"], [[1]], *ODD_VALUES[:-1]]
        header[name][how] = rng.choice({"dtype": dtypes, "shape": shapes, "data_offsets": pairs}[how])
    elif how == "entry":
        header[name] = rng.choice(ODD_VALUES[:-1])
    elif how == "gone":
        del header[name]
    elif how == "axis":
        header[name]["shape"] = rng.choice([header[name]["shape"][::-1], [1, *header[name]["shape"]]])
    text = json.dumps(header).encode()
    if how == "twice":
        text = text[:-1] + b"," + json.dumps({name: header[rng.choice(list(header))]}).encode()[1:]
    elif how == "text":
        text = rng.choice(
            [b"", b"{", b"not json", b"\xff\xfe", b"[" + text + b"]", text[:-1], b"nul", b"NaN", b"1" * 5000]
        )
    elif how == "deep":
        text = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    elif how == "root":
        text = json.dumps(rng.choice(ODD_VALUES[:-1])).encode()
    lengths = [0, 1, 2**31, 2**63, 2**64 - 1, 99_999_999, len(data), len(data) - 8, len(data) - 7]
    n_told = rng.choice(lengths) if how == "length" else len(text)
    path.write_bytes(struct.pack("<Q", n_told) + text + data[8 + n :])
    return f"{path.name}, {how} of {name}"


def _swap(folder: Path, other: Path, rng: random.Random) -> str:
    mine = rng.choice([*files_of(folder), folder / "manifest.json"])
    if rng.random() < 0.5:
        theirs = rng.choice([*files_of(folder), folder / "manifest.json"])
        a, b = mine.read_bytes(), theirs.read_bytes()
        mine.write_bytes(b)
        theirs.write_bytes(a)
        return f"{mine.name} and {theirs.name}"
    theirs = other / mine.relative_to(folder)
    shutil.copy(theirs, mine)
    return f"{mine.name} of another index"


def _presence(folder: Path, other: Path, rng: random.Random) -> str:
    path = rng.choice([*files_of(folder), folder / "manifest.json"])
    how = rng.choice(["gone", "folder", "fifo", "link to itself", "extra", "all gone"])
    if how == "extra":
        (path.parent / "extra.safetensors").write_bytes(b"x")
        return how
    if how == "all gone":
        shutil.rmtree(folder / "index")
        return how
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "link to itself":
        path.symlink_to(path)
    return f"{path.name}: {how}"


def _manifest(folder: Path, other: Path, rng: random.Random) -> str:
    path = folder / "manifest.json"
    if rng.random() < 0.25:
        data = bytearray(path.read_bytes())
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        return f"bit at {place}"
    manifest = json.loads(path.read_bytes())
    parent, key, trail = manifest, rng.choice(list(manifest)), []
    while True:
        trail.append(str(key))
        inner = parent[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.15:
            break
        parent, key = inner, rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
    how = rng.choice(["gone", "value", "value", "value", "near", "name"])
    if how == "gone":
        del parent[key]
    elif how == "near" and type(parent[key]) is int:
        parent[key] += rng.choice([-1, 1, 2, 48])
    elif how == "name" and isinstance(parent, dict):
        parent[rng.choice(["", "../x", "index/../../x", "\0", "index/" + "x" * 5000, "/dev/zero"])] = parent.pop(key)
    else:
        parent[key] = rng.choice(ODD_VALUES[:-1])
    path.write_text(json.dumps(manifest))
    return f"{'.'.join(trail)}: {how}"


def _rows(folder: Path, other: Path, rng: random.Random) -> str:
    table, column = rng.choice([
        ("documents", "name"), ("documents", "metadata"), ("documents", "held_out"), ("documents", "n_bytes"),
        ("sentences", "document_id"), ("sentences", "start_byte"), ("sentences", "text"), ("sentences", "n_occurrences"),
        ("vocabulary", "token"),
    ])  # fmt: skip
    value = rng.choice([-1, 2**62, 0.5, "", "x", "{", "[1]", "null", '{"a":' * 5000, b"", b"\xff", b"text", "\0"])
    connection = sqlite3.connect(folder / "index" / "text.sqlite", isolation_level=None)
    how = rng.choice(["value", "undecodable", "drop", "view", "delete", "move"])
    if how == "value":
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS NOT NULL", (value,))
    elif how == "undecodable":
        connection.execute(f"UPDATE {table} SET {column} = CAST(x'ff00fe' AS TEXT)")
    elif how == "drop":
        connection.execute(f"DROP TABLE {table}")
    elif how == "view":
        connection.execute(f"DROP TABLE {table}")
        endless = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS token_id, 'x' AS text"
        )
        columns = "i AS document_id, i AS start_byte, 1 AS n_occurrences, 'x' AS name, '{}' AS metadata, 0 AS held_out"
        connection.execute(f"CREATE VIEW {table} AS {endless}, {columns}, 1 AS n_bytes, 'x' AS token FROM n")
    elif how == "delete":
        connection.execute(f"DELETE FROM {table} WHERE rowid % 3 = 1")
    else:
        connection.execute(f"UPDATE {table} SET rowid = rowid + 100000 WHERE rowid % 2 = 1")
    connection.close()
    return f"{table}.{column}: {how}"


_KINDS: dict[str, Callable[[Path, Path, random.Random], str]] = {
    "bits": _bits, "length": _length, "range": _range, "header": _header, "swap": _swap, "presence": _presence,
    "manifest": _manifest, "rows": _rows,
}  # fmt: skip
