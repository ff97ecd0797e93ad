"""Which table should find text: what do SQLite's tokenizers cost, and what does it take to read the text itself?

Makes a million sentences of words with spaces and a million without, each with the frequencies of Zipf's law, and three
full-text tables over each: `unicode61` (words, what an index has), `trigram`, and `trigram` without positions. Asks for parts
of the text with each of them and by reading every sentence with LIKE, and compares the answers with Python's `in`.

    nice -n 10 python benchmarks/bench_search_tokenizers.py [--sentences 1000000]

Prints one JSON line; docs/performance.md is made from such lines. Sizes are in megabytes, times the median of three, in ms.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_index import make_words

TABLES = {
    "unicode61": "tokenize = 'unicode61 remove_diacritics 0'",
    "trigram": "tokenize = 'trigram'",
    "trigram_no_positions": "tokenize = 'trigram', detail = 'none'",
}
REPEATS = 3


def sentences(kind: str, n: int) -> list[str]:
    """Eleven words with spaces, or 22 of 3,000 ideographs."""
    rng = np.random.default_rng(0)
    units = np.array(make_words(rng) if kind == "spaced" else [chr(0x4E00 + i) for i in range(3000)])
    shares = 1 / np.arange(1, len(units) + 1)
    edges = np.cumsum(shares / shares.sum())
    length, joint = (11, " ") if kind == "spaced" else (22, "")
    lines: list[str] = []
    for first in range(0, n, 100_000):
        drawn = np.searchsorted(edges, rng.random((min(100_000, n - first), length))).clip(max=len(units) - 1)
        lines += [joint.join(row) for row in units[drawn].tolist()]
    return lines


def timed(db: sqlite3.Connection, sql: str, value: str) -> tuple[int, float]:
    """How many rows come back, and the median time in milliseconds."""
    times, found = [], 0
    for _ in range(REPEATS):
        begin = time.perf_counter()
        found = len(db.execute(sql, (value,)).fetchall())
        times.append((time.perf_counter() - begin) * 1000)
    return found, round(statistics.median(times), 1)


def measure(kind: str, n: int, folder: Path) -> dict[str, Any]:
    """Sizes, build times, and the time of each query with each table."""
    lines = sentences(kind, n)
    db = sqlite3.connect(folder / f"{kind}.sqlite")
    db.executescript("PRAGMA journal_mode = OFF; CREATE TABLE sentences(id INTEGER PRIMARY KEY, text TEXT)")
    db.executemany("INSERT INTO sentences VALUES (?, ?)", enumerate(lines))
    result: dict[str, Any] = {"text_mb": round(sum(len(line.encode()) for line in lines) / 1e6, 1)}
    for name, options in TABLES.items():
        begin = time.perf_counter()
        db.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5(text, content = 'sentences', content_rowid = 'id', {options})"
        )
        for step in ("rebuild", "optimize"):
            db.execute(f"INSERT INTO {name}({name}) VALUES ('{step}')")
        db.commit()
        size = db.execute(f"SELECT sum(length(block)) FROM {name}_data").fetchone()[0]
        result[name] = {"mb": round(size / 1e6, 1), "build_s": round(time.perf_counter() - begin, 1)}
    word = next((word for line in lines for word in line.split() if len(word) > 4), "")
    parts = {"three": word[:3], "two": word[:2], "one": word[:1]} if kind == "spaced" else {}
    parts |= {"three": lines[0][5:8], "two": lines[0][5:7], "one": lines[0][5]} if kind != "spaced" else {}
    for name, part in parts.items():
        expected = sum(part in line for line in lines)
        found, ms = timed(db, "SELECT id FROM sentences WHERE text LIKE ?", f"%{part}%")
        assert found == expected, (part, found, expected)
        answer: dict[str, Any] = {"sentences": found, "reading_ms": ms}
        for table in ("unicode61", "trigram"):
            answer[f"{table}_found"], answer[f"{table}_ms"] = timed(
                db, f"SELECT rowid FROM {table} WHERE {table} MATCH ?", f'"{part}"'
            )
        result[name] = answer
    db.close()
    return result


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "bench": "search_tokenizers",
        "n_sentences": arguments.sentences,
        "sqlite": sqlite3.sqlite_version,
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("spaced", "unspaced"):
            result[kind] = measure(kind, arguments.sentences, Path(folder))
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
