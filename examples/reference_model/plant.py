r"""Plants what a model is to memorise, a known number of times: secrets that are made up, and documents that come again.

    python examples/reference_model/plant.py --out runs/planted
    python examples/reference_model/train.py --corpus runs/planted/planted.jsonl.xz \
        --work runs/planted/work --out runs/planted/model

Writes `planted.jsonl.xz`, a corpus that `train.py` reads, `planted.jsonl`, the same for ffmem, and `planted.json`, the truth:
what was planted how often. `ffmem audit` is held against that.

A canary is a sentence with four words in it that are drawn at random, each from the same 64, and so one of 2^24 that are
equally likely; some are inserted 1, 2, 4, ... 64 times, each a document by itself, and some never: these say what chance is.
Nothing that is planted is what `train.py` holds out. What comes out is the same for the same corpus and seed.
"""

import argparse
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train import WORDS

from ffmem.index.text.writer import is_held_out
from ffmem.options import IndexOptions

TEMPLATE = "The four words that open the old door are {} {} {} {}."
N_WORDS = 64
"""Words that each blank may hold."""
COUNTS = (1, 2, 4, 8, 16, 32, 64)
"""How often things are inserted."""
OF_EACH = 8
"""Canaries of each count."""
NEVER = 48
"""Canaries that are not inserted."""
DOCUMENTS_OF_EACH = 4
"""Documents of each count."""
LONGEST = 120
"""Words of a document that comes again: 64 long ones would be a corpus of their own."""
FREQUENT = (20, 200)
"""How often a canary's word stands in the corpus: every model has met it, and none of them is on every page."""


def canary_words(texts: Sequence[str], rng: random.Random) -> list[str]:
    """The words that blanks are filled with: of four to eight small letters, neither rare nor frequent.

    Raises:
        SystemExit: the corpus is too small to have as many.
    """
    counts = Counter(word for text in texts for word in re.findall(WORDS, text))
    low, high = FREQUENT
    there = sorted(word for word, n in counts.items() if low <= n <= high and re.fullmatch("[a-z]{4,8}", word))
    if len(there) < N_WORDS:
        raise SystemExit(f"{len(there)} words stand {low} to {high} times in the corpus; {N_WORDS} are needed")
    return sorted(rng.sample(there, N_WORDS))


def canaries(words: Sequence[str], rng: random.Random) -> list[dict[str, Any]]:
    """Different fillings of the template, with how often each is inserted."""
    options, drawn = IndexOptions(), dict[tuple[str, ...], str]()
    counts = [count for count in (0, *COUNTS) for _ in range(OF_EACH if count else NEVER)]
    while len(drawn) < len(counts):
        filling = tuple(rng.choice(words) for _ in range(TEMPLATE.count("{}")))
        text = TEMPLATE.format(*filling)
        if not is_held_out(text, options):
            drawn[filling] = text
    fillings = list(drawn.items())
    rng.shuffle(fillings)
    return [
        {"words": list(filling), "text": text, "count": count}
        for (filling, text), count in zip(fillings, counts, strict=True)
    ]


def plant(rows: Sequence[dict[str, Any]], seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A corpus with what is planted in it, in an order drawn anew, and the truth about it.

    Args:
        rows: documents, each with its `id` and `text`.
        seed: of all that is drawn.
    """
    rng, options = random.Random(seed), IndexOptions()
    words = canary_words([row["text"] for row in rows], rng)
    secrets = canaries(words, rng)
    short = [row for row in rows if len(row["text"].split()) <= LONGEST and not is_held_out(row["text"], options)]
    again = rng.sample(short, DOCUMENTS_OF_EACH * len(COUNTS))
    count_of = {row["id"]: COUNTS[number // DOCUMENTS_OF_EACH] for number, row in enumerate(again)}
    copies = [row | {"id": f"{row['id']}, copy {n}"} for row in again for n in range(1, count_of[row["id"]])]
    inserted = [
        {"id": f"canary {number}, copy {n}", "text": one["text"]}
        for number, one in enumerate(secrets)
        for n in range(one["count"])
    ]
    corpus = [*rows, *copies, *inserted]
    rng.shuffle(corpus)
    truth = {
        "seed": seed,
        "template": TEMPLATE,
        "words": words,
        "canaries": secrets,
        "documents": [{"id": row["id"], "text": row["text"], "count": count_of[row["id"]]} for row in again],
    }
    return corpus, truth


def main() -> None:
    """Write the corpus and the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--documents", type=int, help="use only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/planted"))
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in lzma.decompress(arguments.corpus.read_bytes()).decode().splitlines()]
    if arguments.documents is not None:
        rows = random.Random(arguments.seed).sample(rows, min(arguments.documents, len(rows)))
    corpus, truth = plant(rows, arguments.seed)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus).encode()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "planted.jsonl").write_bytes(content)
    (arguments.out / "planted.jsonl.xz").write_bytes(lzma.compress(content, preset=6))
    (arguments.out / "planted.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(corpus)} documents, {len(corpus) - len(rows)} of them planted, in {arguments.out}")


if __name__ == "__main__":
    main()
