"""How long does it take to write, look up and find names, up to a million of them?

    python benchmarks/bench_names.py --names 1000000 --scratch /tmp/names

Names are made from the words of a vocabulary with frequencies of Zipf's law, as names by rule are; what is found is compared
with a loop over all of them. One JSON line comes out; times are seconds on the clock and of the processor, the median of five,
after one that is not counted.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from synthetic_index import make_words, write_synthetic_index

from ffmem.ids import CellId
from ffmem.queries import NameQuestion, find
from ffmem.store.label_rows import NewLabel, Score

_TEMPLATES = ("fires on '{}'", "after '{}', '{}'", "with '{}' before", "{} (topic)")
_GRADES = ("A", "B", "C")


def made_names(n: int, n_layers: int, seed: int = 0) -> Iterator[NewLabel]:
    """Names by rule of all cells, one after the other."""
    rng = np.random.default_rng(seed)
    words = make_words(rng)
    drawn = np.minimum(rng.zipf(1.3, (n, 2)) - 1, len(words) - 1).tolist()
    of_layer = n // n_layers
    for number, pair in enumerate(drawn):
        one, other = (words[i] for i in pair)
        template = _TEMPLATES[number % len(_TEMPLATES)]
        evidence: dict[str, Any] = (
            {"field": "label", "value": one} if template.startswith("{}") else {"values": [one, other]}
        )
        yield NewLabel(
            CellId(number // of_layer, number % of_layer), 1, "rule", template.format(one, other),
            "field" if template.startswith("{}") else "token", evidence, grade=_GRADES[number % 3],
        )  # fmt: skip


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock and of the processor, each the median of five."""
    what()
    times = []
    for _ in range(5):
        start = time.perf_counter(), time.process_time()
        what()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return median(one for one, _ in times), median(one for _, one in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--layers", type=int, default=64)
    parser.add_argument("--scratch", type=Path, required=True)
    asked = parser.parse_args()
    n = asked.names // asked.layers * asked.layers
    folder = asked.scratch / "index"
    index = write_synthetic_index(folder, n_layers=asked.layers, n_cells=n // asked.layers, n_sentences=2_000, top=3)
    try:
        start = time.perf_counter(), time.process_time()
        scores = ([Score("f1", 0.5, 0.4, 0.6, 100)] for _ in range(n))
        index.names.replace_rules(made_names(n, asked.layers), scores)
        write_s = time.perf_counter() - start[0], time.process_time() - start[1]
        texts = [one.text for one in made_names(n, asked.layers)]
        counts: dict[str, int] = {}
        for text in texts:
            for word in set(text.replace("'", " ").replace(",", " ").replace("(", " ").replace(")", " ").split()):
                counts[word] = counts.get(word, 0) + 1
        by_count = sorted(counts, key=lambda word: counts[word])
        chosen = {"in none": "zzzz", "in one": by_count[0], "in many": by_count[-4], "in most": by_count[-1]}
        finding = {}
        for name, word in chosen.items():
            question = NameQuestion(named=word)
            expected = counts.get(word, 0)
            found = find(index, names=question, limit=20)
            assert found.n_found == expected or not expected, (word, found.n_found, expected)
            finding[name] = expected, *timed(lambda question=question: find(index, names=question, limit=20))
        others = {
            "topic": NameQuestion(topic=by_count[-5]), "grade": NameQuestion(grade="A"),
            "a part of a word": NameQuestion(named=by_count[5][1:]),
        }  # fmt: skip
        for name, question in others.items():
            found = find(index, names=question, limit=20).n_found
            finding[name] = found, *timed(lambda question=question: find(index, names=question, limit=20))
        cells = [CellId(i % asked.layers, (7919 * i) % (n // asked.layers)) for i in range(1000)]
        told = {
            "n_names": n,
            "write_s": write_s,
            "mb": index.names.path.stat().st_size / 1e6,
            "find_n_s": finding,
            "1000_names_one_by_one_s": timed(lambda: [index.names.name(cell) for cell in cells]),
            "1000_names_at_once_s": timed(lambda: index.names.names((cell, 1) for cell in cells)),
            "add_one_s": timed(lambda: index.names.add([NewLabel(cells[0], 1, "human", "by hand", author="a")])),
        }
        print(json.dumps(told))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
