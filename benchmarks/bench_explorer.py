"""How long does the explorer take for a page?

Starts `ffmem serve` on an index (by default a synthetic one of a million cells and a million sentences), asks each kind of
page for different cells, words and sentences, and reports the first, the median and the slowest answer in milliseconds, from
the request to the last byte. The server runs without a model, so nothing is computed but pages.

    python benchmarks/bench_explorer.py [--folder INDEX]

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

import ffmem

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_index import write_synthetic_index

N_ASKED = 15


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a server."""
    command = [sys.executable, "-m", "ffmem", "serve", str(folder), "--no-model", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.match(r"http://[^:]+:(\d+)", process.stdout.readline())
    assert found
    try:
        yield int(found[1]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def addresses(index: ffmem.Index) -> dict[str, list[str]]:
    """Addresses of each kind of page; none is asked twice."""
    draw = random.Random(0)
    cells = [
        str(index.cells.cell_id(place, draw.randrange(index.cells.layers[place].n_cells)))
        for place in (draw.randrange(index.n_layers) for _ in range(N_ASKED))
    ]
    counts = np.bincount(np.asarray(index.text.token_id), minlength=len(index.text.vocabulary))
    words = [index.text.vocabulary[number] for number in np.argsort(-counts, kind="stable")]
    plain = [word.strip() for word in words if re.fullmatch(r"\s?[A-Za-z]{3,}", word)]
    common, rare = plain[20 : 20 + N_ASKED], plain[2000 : 2000 + N_ASKED]
    tokens = [word for word in words if word.strip() in plain][40 : 40 + N_ASKED]
    layers = [layer.name for layer in index.cells.layers]
    sorts = ("max", "min", "mean", "active", "top")
    return {
        "overview": ["/"] * 5,
        "cells_of_a_layer": [f"/cells?{urlencode({'layer': draw.choice(layers), 'sort': sort})}" for sort in sorts],
        "cells": [f"/cells?sort={sort}" for sort in sorts],
        "cell": [f"/cells/{cell}" for cell in cells],
        "cell_json": [f"/cells/{cell}.json" for cell in reversed(cells)],
        "similar_triggers": [f"/cells/{cell}/similar?by=triggers" for cell in cells],
        "similar_promoted": [f"/cells/{cell}/similar?by=promoted" for cell in cells],
        "sentence": [f"/sentences/{draw.randrange(index.text.n_all_sentences)}" for _ in range(N_ASKED)],
        "search_common_word": [f"/search.json?{urlencode({'q': word})}" for word in common],
        "search_rare_word": [f"/search.json?{urlencode({'q': word})}" for word in rare],
        "search_joined": [
            f"/search.json?{urlencode({'q': f'{word} promotes:{json.dumps(token)}'})}"
            for word, token in zip(common, tokens, strict=True)
        ],
    }


def measure(port: int, asked: list[str]) -> dict[str, float]:
    """Times of some requests over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for address in asked:
        begin = time.perf_counter()
        connection.request("GET", address, headers={"accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - begin) * 1000)
        assert answer.status == 200, (address, answer.status, body[:300])
    connection.close()
    return {
        "first_ms": round(times[0], 1),
        "median_ms": round(statistics.median(times), 1),
        "slowest_ms": round(max(times), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--wait-s", type=float, default=20.0, help="for what the explorer does in the background")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "index"
        if arguments.folder is None:
            write_synthetic_index(folder, n_layers=64, n_cells=16384, n_sentences=1_000_000)
        index = ffmem.open_index(folder)
        with served(folder) as (port, _):
            time.sleep(arguments.wait_s)
            times = {name: measure(port, asked) for name, asked in addresses(index).items()}
        counts = {"n_cells": index.n_cells, "n_sentences": index.text.n_all_sentences}
        print(json.dumps({"benchmark": "explorer"} | counts | {"pages": times}))


if __name__ == "__main__":
    main()
