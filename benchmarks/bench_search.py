"""How long does the first answer of the search page take over a million cells and a million sentences?

Writes a synthetic index whose documents have topics (or takes one that `--folder` names), warms it as the explorer does when it
starts, and asks each kind of question for the first time: the time from the question to the first page of cells, and to the
first sentences, which a page of a large index shows before its cells. Rare, common
and frequent words stand apart, since what has to be read grows with the sentences that have the word. Times of the CPU stand
beside those of the clock, which other programs on the machine may lengthen.

    python benchmarks/bench_search.py [--folder INDEX | --keep INDEX]

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import ffmem
from ffmem import queries
from ffmem.queries.find import read_ahead
from ffmem.queries.search import search

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_index import ZipfCorpus, write_synthetic_index

N_TOPICS = 40


class TopicCorpus(ZipfCorpus):
    """Documents with a topic, a year and a title."""

    def metadata(self, number: int) -> dict[str, Any]:
        """Topics take turns; years and titles are many."""
        return {"topic": f"topic {number % N_TOPICS}", "year": 1900 + number % 100, "title": f"title {number}"}


def write_index(folder: Path, n_layers: int, n_cells: int, n_sentences: int) -> ffmem.Index:
    """The index with topics."""
    corpus = TopicCorpus(n_sentences, 0)
    return write_synthetic_index(folder, n_layers=n_layers, n_cells=n_cells, n_sentences=n_sentences, corpus=corpus)


def questions(index: ffmem.Index) -> dict[str, dict[str, Any]]:
    """Conditions of each kind; none has a word of another, so that nothing is remembered."""
    counts = np.bincount(np.asarray(index.text.token_id), minlength=len(index.text.vocabulary))
    words = [index.text.vocabulary[number] for number in np.argsort(-counts, kind="stable")]
    firsts = [index.text.sentence(number).text.split()[:2] for number in (100, 200)]
    return {
        "rare word": {"trigger": words[8000]},
        "common word": {"trigger": words[400]},
        "frequent word": {"trigger": words[20]},
        "most frequent word": {"trigger": words[0]},
        "two words": {"trigger": f"{words[300]} {words[305]}"},
        "phrase": {"trigger": '"' + " ".join(firsts[0]) + '"'},
        "word in the sentence": {"trigger": words[401], "within": "sentence"},
        "meta": {"meta": {"year": "1950"}},
        "topic": {"topic": "topic 7"},
        "topic and word": {"topic": "topic 8", "trigger": words[402]},
        "promotes": {"promotes": words[500]},
        "fires": {"fires_on": words[501]},
        "fires, frequent": {"fires_on": words[2]},
        "layer": {"layer": "5"},
    }


def main() -> None:
    """Write, warm, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="an index that an earlier run has written with --keep")
    parser.add_argument("--keep", type=Path, help="where the index is written, and stays")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    try:
        folder = arguments.folder or arguments.keep or scratch / "index"
        if arguments.folder is None:
            write_index(folder, 64, 16_384, 1_000_000)
        index = ffmem.open_index(folder)
        begin = time.perf_counter()
        read_ahead(index)
        told: dict[str, Any] = {"warm_s": round(time.perf_counter() - begin, 1)}
        for name, conditions in questions(index).items():
            times = []
            for start in (0, 20):
                begin, begin_cpu = time.perf_counter(), time.process_time()
                found = queries.find(index, **conditions, start=start)
                times.append(round((time.perf_counter() - begin) * 1000, 1))
                times.append(round((time.process_time() - begin_cpu) * 1000, 1))
            told[name] = {
                "first_ms": times[0],
                "first_cpu_ms": times[1],
                "next_page_ms": times[2],
                "next_page_cpu_ms": times[3],
                "n_cells": found.n_found,
            }
            assert found.n_found, name
            if set(conditions) <= {"trigger", "within"}:
                begin, begin_cpu = time.perf_counter(), time.process_time()
                search(index, conditions["trigger"])
                told[name]["sentences_ms"] = round((time.perf_counter() - begin) * 1000, 1)
                told[name]["sentences_cpu_ms"] = round((time.process_time() - begin_cpu) * 1000, 1)
        counts = {"n_cells": index.n_cells, "n_sentences": index.text.n_all_sentences}
        print(json.dumps({"benchmark": "search"} | counts | told))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
