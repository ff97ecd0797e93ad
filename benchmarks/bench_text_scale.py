"""Does what a reader waits for, and what a server needs, grow with the sentences?

Takes synthetic indexes with the same number of cells and more and more sentences, as `--write` makes them (or `--times`: of
the text of one that is there, so many times over, which takes less time), and asks the same kinds of questions of each in turn:
in one process that has them open, and of `ffmem serve` on each. Times of the processor, since the machine may be busy; the
memory of servers is what is no page of a file. Some answers are compared with a pass over all tokens.

    python benchmarks/bench_text_scale.py --write 1000000 ONE
    python benchmarks/bench_text_scale.py --write 10000000 TEN    (or: --times 10 ONE TEN)
    python benchmarks/bench_text_scale.py ONE TEN

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import http.client
import json
import os
import resource
import shutil
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import ffmem
from ffmem import queries
from ffmem.index.text.writer import TextCounts
from ffmem.queries.find import read_ahead
from ffmem.store.files import map_arrays

sys.path.insert(0, str(Path(__file__).parent))
from bench_explorer import addresses, served
from bench_search import TopicCorpus
from bench_server import cpu_s
from synthetic_index import write_synthetic_index

N_ASKED = 5
"""Of each kind of question; each of another word, so that nothing is remembered, and each once more, so that it may be."""


def write(folder: Path, n_sentences: int, n_cells: int, text: Callable[[Path], TextCounts] | None) -> dict[str, Any]:
    """Make an index; processor time, and the largest memory of the process, when each stage was done."""
    told: dict[str, Any] = {"n_sentences": n_sentences}
    begin = time.time()

    def done(stage: str) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        told[stage] = {
            "s": round(time.time() - begin),
            "cpu_s": round(used.ru_utime + used.ru_stime),
            "peak_mb": round(used.ru_maxrss / 1024),
        }

    done("begin")
    corpus = TopicCorpus(n_sentences, 0)
    write_synthetic_index(
        folder, n_layers=64, n_cells=n_cells // 64, n_sentences=n_sentences, corpus=corpus, text=text, told=done
    )
    told["mb"] = {path.name: round(path.stat().st_size / 1e6) for path in (folder / "index").glob("*.s*")}
    return told


def repeated(index: Path, counts: TextCounts, times: int) -> Callable[[Path], TextCounts]:
    """What writes the text of an index several times over; its search table is made anew, by the statement that made it."""

    def make(folder: Path) -> TextCounts:
        n, n_all = counts.n_sentences, counts.n_sentences + counts.n_sentences_held_out
        with closing(sqlite3.connect(folder / "text.sqlite")) as db:
            db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            db.execute("ATTACH ? AS one", (str(index / "index" / "text.sqlite"),))
            rest = "sql IS NOT NULL AND name NOT LIKE 'sentences_fts_%' ORDER BY type = 'index', name LIKE '%fts'"
            schema = [sql for (sql,) in db.execute(f"SELECT sql FROM one.sqlite_master WHERE {rest}")]
            for sql in schema[:3]:
                assert sql.startswith("CREATE TABLE")
                db.execute(sql)
            db.execute("INSERT INTO main.vocabulary SELECT * FROM one.vocabulary")
            documents = "SELECT id + ?, name, metadata, held_out, n_bytes FROM one.documents ORDER BY id"
            sentences = "id + ?, document_id + ?, start_byte, text, n_occurrences, also_indexed FROM one.sentences"
            parts = ((0, n), (n, n_all))  # those that are held out follow
            for k in range(times):
                db.execute(f"INSERT INTO main.documents {documents}", (k * counts.n_documents,))
            for first, end in parts:
                for k in range(times):
                    shift = (k * n if first == 0 else (times - 1) * n + k * (n_all - n), k * counts.n_documents)
                    where = "WHERE id >= ? AND id < ? ORDER BY id"
                    db.execute(f"INSERT INTO main.sentences SELECT {sentences} {where}", (*shift, first, end))
            for sql in schema[3:]:
                db.execute(sql)
            for command in ("rebuild", "optimize"):
                db.execute("INSERT INTO sentences_fts(sentences_fts) VALUES (?)", (command,))
            db.commit()
        arrays = dict(map_arrays(index / "index" / "tokens.safetensors"))
        starts = arrays.pop("sentence_start").astype(np.int64)
        lengths, middle = np.diff(starts), int(starts[n])
        pieces = [lengths[:n]] * times + [lengths[n:]] * times
        told = {"sentence_start": np.concatenate([[0], *pieces]).cumsum().astype(np.uint64)}
        for name, one in arrays.items():
            told[name] = np.concatenate([one[:middle]] * times + [one[middle:]] * times)
        save_file(told, folder / "tokens.safetensors")
        shutil.copy(index / "index" / "tokenizer.json", folder)
        numbers = {name: times * value for name, value in asdict(counts).items() if isinstance(value, int)}
        return TextCounts(**numbers, n_sentences_by_corpus=[times * n])

    return make


def words_of(index: ffmem.Index) -> list[str]:
    """The most frequent first."""
    counts = np.bincount(np.asarray(index.text.token_id), minlength=len(index.text.vocabulary))
    return [index.text.vocabulary[number] for number in np.argsort(-counts, kind="stable")]


def questions(words: Sequence[str]) -> dict[str, Callable[[ffmem.Index, int], Any]]:
    """Each kind, of the i-th of its words."""
    search, find = queries.search, queries.find
    return {
        "cell": lambda index, i: queries.cell(index, f"L{7 * i}.{100 * i}"),
        "sentence": lambda index, i: index.cells_of_sentence(7_919 * i),
        "search, a rare word": lambda index, i: search(index, words[8000 + i]),
        "search, a common word": lambda index, i: search(index, words[400 + i]),
        "search, the most frequent words": lambda index, i: search(index, words[i]),
        "search, a phrase": lambda index, i: search(index, f'"{words[10 + i]} {words[20 + i]}"'),
        "search, a phrase of frequent words": lambda index, i: search(index, f'"{words[i]} {words[i + 1]}"'),
        "search --regex, the first 20": lambda index, i: search(
            index, rf"\b{words[100 + i]}\b.*\b{words[i]}\b", syntax="regex"
        ),
        "search, within words (at most 10 s)": lambda index, i: search(index, f"{words[9000 + i]}{words[8500 + i]}"),
        "find, a rare word": lambda index, i: find(index, trigger=words[8100 + i]),
        "find, a common word": lambda index, i: find(index, trigger=words[500 + i]),
        "find, a frequent word (at most 10 s)": lambda index, i: find(index, trigger=words[30 + i]),
        "find, a common word and what is promoted": lambda index, i: find(
            index, trigger=words[600 + i], promotes=words[50]
        ),
        "find, the token that fires": lambda index, i: find(index, fires_on=words[700 + i]),
        "find, the next token": lambda index, i: find(index, next_token=words[800 + i]),
        "find, a field of documents": lambda index, i: find(index, meta={"year": f"{1950 + i}"}),
        "find, a topic": lambda index, i: find(index, topic=f"topic {i}"),
        "similar, by triggers": lambda index, i: queries.similar(index, f"L{11 * i}.{50 * i}"),
    }


def ask(indexes: Sequence[ffmem.Index]) -> dict[str, list[dict[str, Any]]]:
    """Each question of each index in turn."""
    words = words_of(indexes[0])  # the same in all, of one seed
    told: dict[str, list[dict[str, Any]]] = {}
    for name, question in questions(words).items():
        times: list[list[tuple[float, float]]] = [[] for _ in indexes]
        again: list[list[tuple[float, float]]] = [[] for _ in indexes]
        for i in range(N_ASKED):
            for index, *of_index in zip(indexes, times, again, strict=True):
                for one in of_index:
                    begin, begin_cpu = time.perf_counter(), time.process_time()
                    question(index, i)
                    one.append((time.process_time() - begin_cpu, time.perf_counter() - begin))
        told[name] = [milliseconds(*of_index) for of_index in zip(times, again, strict=True)]
        print(name, told[name], file=sys.stderr, flush=True)
    return told


def milliseconds(times: Sequence[tuple[float, float]], again: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Of (processor, clock) in seconds, of questions and of the same once more."""
    cpu, clock = zip(*times, strict=True)
    return {
        "first_cpu_ms": round(1000 * cpu[0]),
        "median_cpu_ms": round(1000 * statistics.median(cpu)),
        "slowest_cpu_ms": round(1000 * max(cpu)),
        "again_cpu_ms": round(1000 * statistics.median(one for one, _ in again)),
        "median_ms": round(1000 * statistics.median(clock)),
    }


def check(index: ffmem.Index, words: Sequence[str]) -> None:
    """Sentences and positions by a pass over all tokens: in this text a word is a token."""
    text, n = index.text, index.manifest.counts.n_sentences
    starts = np.asarray(text.sentence_start).astype(np.int64)
    for word in (words[8000], words[400]):
        (token,) = text.token_ids_of(word)
        where = np.flatnonzero(np.asarray(text.token_id) == token)
        sentences, first = np.unique(np.searchsorted(starts, where, side="right") - 1, return_index=True)
        assert np.array_equal(text.matching(f'"{word}"'), sentences)
        found = min(len(sentences), 10_001)
        assert queries.search(index, word).n_matches == found
        indexed = sentences < n
        n_positions = int((starts[sentences + 1] - where[first])[indexed].sum())
        assert abs(queries.find(index, trigger=word).base_rate * starts[n] - n_positions) < 0.5
    (token,) = text.token_ids_of(words[700])
    n_fires = int(np.count_nonzero(np.asarray(text.token_id)[: starts[n]] == token))
    assert abs(queries.find(index, fires_on=words[700]).base_rate * starts[n] - n_fires) < 0.5


class Watch(threading.Thread):
    """The largest memory of a process that is no page of a file, in MB."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process, self.peak_mb, self.over = process, 0.0, threading.Event()

    def now_mb(self) -> float:
        """At this moment."""
        lines = Path(f"/proc/{self._process}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def run(self) -> None:
        """Every 20 ms."""
        while not self.over.wait(0.02):
            self.peak_mb = max(self.peak_mb, self.now_mb())


def until_idle(process: int) -> float:
    """Wait for what a server does in the background; the processor time of it all."""
    before = -1.0
    while (now := cpu_s(process)) - before > 0.05:
        before = now
        time.sleep(10)
    return now


def serve(indexes: Sequence[ffmem.Index]) -> dict[str, Any]:
    """Each kind of page of a server on each index in turn."""
    told: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(served(index.folder)) for index in indexes]
        watches = [Watch(process) for _, process in servers]
        for watch in watches:
            watch.start()
        told["warm_cpu_s"] = [round(until_idle(process), 1) for _, process in servers]
        told["warm_peak_mb"] = [round(watch.peak_mb) for watch in watches]
        told["warm_mb"] = [round(watch.now_mb()) for watch in watches]
        of_each = [addresses(index) for index in indexes]
        for kind in of_each[0]:
            told[kind] = [
                pages(port, process, asked[kind][:10]) for (port, process), asked in zip(servers, of_each, strict=True)
            ]
            for one, watch in zip(told[kind], watches, strict=True):
                one["peak_mb"] = round(watch.peak_mb)
            print(kind, told[kind], file=sys.stderr, flush=True)
        told["mb"] = [round(watch.now_mb()) for watch in watches]
        told["peak_mb"] = [round(watch.peak_mb) for watch in watches]
        for watch in watches:
            watch.over.set()
            watch.join()
    return told


def pages(port: int, process: int, asked: Sequence[str]) -> dict[str, Any]:
    """Some pages over one connection: processor time of the server a page, and the clock's of one."""
    connection, clock, begin_cpu = http.client.HTTPConnection("127.0.0.1", port), [], cpu_s(process)
    for address in asked:
        begin = time.perf_counter()
        connection.request("GET", address, headers={"accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        clock.append(1000 * (time.perf_counter() - begin))
        assert answer.status == 200, (address, answer.status, body[:300])
    connection.close()
    cpu = 1000 * (cpu_s(process) - begin_cpu) / len(asked)
    return {"cpu_ms": round(cpu), "median_ms": round(statistics.median(clock)), "slowest_ms": round(max(clock))}


def main() -> None:
    """Write an index, or ask some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--write", type=int, help="make an index with so many sentences in a new folder, and end")
    parser.add_argument(
        "--times", type=int, help="make an index with the text of the first so many times over, and end"
    )
    parser.add_argument("--cells", type=int, default=102_400, help="of an index that is made")
    asked = parser.parse_args()
    if asked.write or asked.times:
        n_sentences, text = asked.write, None
        if asked.times:
            counts = ffmem.open_index(asked.folders[0]).manifest.counts
            n_sentences = asked.times * counts.n_sentences
            of_one = {one.name: getattr(counts, one.name) for one in fields(TextCounts)}
            text = repeated(asked.folders[0], TextCounts(**of_one), asked.times)
        told = write(asked.folders[-1], n_sentences, asked.cells, text)
        print(json.dumps({"bench": "text scale", "write": told}))
        return
    indexes = [ffmem.open_index(folder) for folder in asked.folders]
    for index in indexes:
        read_ahead(index)
    told = {
        "n_sentences": [index.text.n_all_sentences for index in indexes],
        "n_tokens": [len(index.text.token_id) for index in indexes],
        "n_cells": [index.n_cells for index in indexes],
        "questions": ask(indexes),
    }
    told["process_peak_anonymous_mb"] = round(Watch(os.getpid()).now_mb())
    for index in indexes:
        check(index, words_of(indexes[0]))
    told["servers"] = serve(indexes)
    print(json.dumps({"bench": "text scale"} | told | {"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
