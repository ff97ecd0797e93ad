"""How long do questions take on an index of a million cells and a million sentences?

Writes a synthetic index (or takes one that `synthetic_index.py` wrote), asks each question several times in one process,
and reports the median and the first, in milliseconds. Each answer is compared with the slow obvious way where that is
quick enough to write down.

    python benchmarks/bench_queries.py [--folder INDEX]

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ffmem
from ffmem import queries

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_index import write_synthetic_index

REPEATS = 7


def timed(ask: Callable[[], Any]) -> dict[str, float]:
    """First and median time of several calls, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begin) * 1000)
    return {"first_ms": round(times[0], 1), "median_ms": round(statistics.median(times), 1)}


def words_by_frequency(index: ffmem.Index) -> list[str]:
    """The vocabulary, the most frequent first."""
    counts = np.bincount(np.asarray(index.text.token_id), minlength=len(index.text.vocabulary))
    return [index.text.vocabulary[number] for number in np.argsort(-counts, kind="stable")]


def questions(index: ffmem.Index) -> dict[str, Callable[[], Any]]:
    """Each question by its name."""
    words = words_by_frequency(index)
    frequent, common, rare = words[0], words[100], words[5000]
    last = index.cells.cell_id(index.n_layers - 1, 7)
    middle = f"{index.n_layers // 3}:"
    return {
        "cell": lambda: queries.cell(index, str(last)),
        "search_rare_word": lambda: queries.search(index, rare),
        "search_common_word": lambda: queries.search(index, common),
        "search_most_frequent_word": lambda: queries.search(index, frequent),
        "search_phrase": lambda: queries.search(index, f'"{frequent} {common}"'),
        "search_regex_first_20": lambda: queries.search(index, rf"\b{common}\b.*\b{frequent}\b", syntax="regex"),
        "search_regex_literal_all": lambda: queries.search(index, f"{rare} zzz", syntax="regex", time_limit_s=1e9),
        "promotes": lambda: queries.promotes(index, common),
        "find_trigger_promotes_layers": lambda: queries.find(index, trigger=common, promotes=words[50], layer=middle),
        "find_trigger_promotes": lambda: queries.find(index, trigger=common, promotes=words[50]),
        "find_trigger": lambda: queries.find(index, trigger=rare),
        "find_fires_on": lambda: queries.find(index, fires_on=common),
        "similar_triggers": lambda: queries.similar(index, str(last)),
        "similar_promoted": lambda: queries.similar(index, str(last), by="promoted"),
    }


def check(index: ffmem.Index) -> None:
    """Two answers the slow obvious way."""
    words = words_by_frequency(index)
    token = index.text.token_ids_of(words[50])[0]
    places = range(index.n_layers)
    n_slow = sum(int((np.asarray(index.layer(place).promoted_ids) == token).any(1).sum()) for place in places)
    assert queries.promotes(index, words[50]).n_cells == n_slow
    text = sqlite3.connect(index.folder / "index" / "text.sqlite")
    slow = [i for i, sentence in text.execute("SELECT id, text FROM sentences") if words[5000] in sentence.split()]
    text.close()
    assert queries.search(index, words[5000]).n_matches == len(slow)


def full_text_cost(index: ffmem.Index) -> dict[str, float]:
    """Size of the full-text table beside the rest, and the time to build it anew in memory."""
    text = sqlite3.connect(":memory:")
    with sqlite3.connect(index.folder / "index" / "text.sqlite") as stored:
        names = [name for (name,) in stored.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sentences_fts_%'")]
        n_bytes = sum(
            stored.execute(f"SELECT coalesce(sum(length(block)), 0) FROM {name}").fetchone()[0]
            for name in names
            if name.endswith("_data")
        )
        n_bytes += stored.execute("SELECT sum(length(sz)) + 8 * count(*) FROM sentences_fts_docsize").fetchone()[0]
        n_text = stored.execute("SELECT sum(length(CAST(text AS BLOB))) FROM sentences").fetchone()[0]
        text.execute("CREATE TABLE sentences(id INTEGER PRIMARY KEY, text TEXT)")
        text.executemany("INSERT INTO sentences VALUES (?, ?)", stored.execute("SELECT id, text FROM sentences"))
    stored.close()
    text.execute(
        "CREATE VIRTUAL TABLE sentences_fts USING fts5(text, content = 'sentences', content_rowid = 'id', "
        "tokenize = 'unicode61 remove_diacritics 0')"
    )
    begin = time.perf_counter()
    text.execute("INSERT INTO sentences_fts(sentences_fts) VALUES ('rebuild')")
    text.execute("INSERT INTO sentences_fts(sentences_fts) VALUES ('optimize')")
    spent = time.perf_counter() - begin
    text.close()
    return {"text_mb": round(n_text / 1e6, 1), "full_text_mb": round(n_bytes / 1e6, 1), "full_text_s": round(spent, 1)}


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="an index that synthetic_index.py wrote")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            write_synthetic_index(Path(scratch) / "index")
        index = ffmem.open_index(arguments.folder or Path(scratch) / "index")
        result: dict[str, Any] = {
            "bench": "queries",
            "n_cells": index.n_cells,
            "n_sentences": index.text.n_all_sentences,
            "text_sqlite_mb": round(os.path.getsize(index.folder / "index" / "text.sqlite") / 1e6, 1),
        }
        result |= {name: timed(ask) for name, ask in questions(index).items()}
        result |= full_text_cost(index)
        check(index)
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
