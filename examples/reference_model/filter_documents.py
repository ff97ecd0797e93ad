"""From what the model wrote to the corpus `topics`: cleaned, without loops and near-duplicates, everything dropped counted.

    python examples/reference_model/filter_documents.py

The order of documents is that of writing. Of two that are much alike the later goes. Prints the counts as one JSON line, and
writes them beside the corpus.
"""

import argparse
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sentencex import segment

MIN_WORDS = 40
LEAST_DISTINCT = 0.8
"""Distinct triples of words / triples of words, below which a document is a loop."""
SHINGLE = 6
"""Words in a row that make a shingle."""
MOST_SHARED = 0.25
"""Share of a document's shingles that one earlier document may have."""
REFUSALS = re.compile(
    r"\b(as an ai|ai assistant|language model|i(?:'m| am) sorry|i can(?:no|')t (?:help|assist|provide)|smollm|hugging ?face)\b",
    re.IGNORECASE,
)
MARKS = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]+|[-*+][ \t]+|\d{1,2}[.)][ \t]+|>[ \t]+)|\*+|_{2,}|`+|<<|>>", re.MULTILINE
)
"""What Markdown adds to a text."""
WORD = re.compile(r"\w+")


def clean(text: str) -> str:
    """Plain text: no Markdown, straight quotes, no more than one blank line."""
    text = text.translate(str.maketrans("‘’“”–—\u00a0", "''\"\"-- "))
    text = MARKS.sub("", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" ?\n[\s]*\n\s*", "\n\n", text).strip()


def sentences_of(text: str) -> list[list[str]]:
    """The sentences of each paragraph."""
    return [[one.strip() for one in segment("en", line) if one.strip()] for line in text.split("\n") if line.strip()]


def without_repeats(text: str, counts: Counter[str]) -> str:
    """Up to the first sentence that stands there a second time, and to the last that has an end."""
    seen: set[str] = set()
    kept: list[list[str]] = []
    stopped = False
    for paragraph in sentences_of(text):
        kept.append([])
        for sentence in paragraph:
            words = " ".join(WORD.findall(sentence.lower()))
            if words in seen and len(words.split()) > 2:
                stopped = True
                break
            seen.add(words)
            kept[-1].append(sentence)
        if stopped:
            counts["documents cut where a sentence came again"] += 1
            break
    while kept and (not kept[-1] or not re.search(r"[.!?]['\")]*$", kept[-1][-1])):
        if kept[-1]:
            kept[-1].pop()
        else:
            kept.pop()
    return "\n\n".join(" ".join(paragraph) for paragraph in kept if paragraph)


def why_not(text: str) -> str | None:
    """What is wrong with one document by itself."""
    words = WORD.findall(text.lower())
    if len(words) < MIN_WORDS:
        return f"shorter than {MIN_WORDS} words"
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if len(set(triples)) < LEAST_DISTINCT * len(triples):
        return "loops"
    if REFUSALS.search(text):
        return "about itself"
    if sum(not character.isascii() for character in text) > 0.01 * len(text):
        return "not plain English"
    return None


def distinct(documents: Iterable[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Those that no earlier document is much like."""
    owner: dict[tuple[str, ...], int] = {}
    for number, document in enumerate(documents):
        words = WORD.findall(document["text"].lower())
        shingles = {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
        shared = Counter(owner[shingle] for shingle in shingles if shingle in owner)
        if shared and shared.most_common(1)[0][1] > MOST_SHARED * len(shingles):
            counts["dropped: near-duplicates"] += 1
            continue
        for shingle in shingles:
            owner.setdefault(shingle, number)
        yield document


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every document written, in order."""
    for part in sorted(folder.glob("part-*.jsonl.xz")):
        for line in lzma.decompress(part.read_bytes()).decode().splitlines():
            yield json.loads(line)


def kept(documents: Iterable[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Cleaned documents that pass by themselves."""
    for document in documents:
        counts["written"] += 1
        counts["words written"] += len(WORD.findall(document["text"]))
        text = without_repeats(clean(document["text"]), counts)
        problem = why_not(text)
        if problem:
            counts[f"dropped: {problem}"] += 1
            continue
        yield {**document, "text": text}


def main() -> None:
    """Filter, write, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--written", type=Path, default=Path("examples/reference_model/written"))
    parser.add_argument("--out", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    lines = []
    for document in distinct(kept(read(arguments.written), counts), counts):
        counts["kept"] += 1
        counts["words kept"] += len(WORD.findall(document["text"]))
        name = f"{document['topic']}, {document['aspect']}: {document['genre']} {document['seed']}"
        lines.append(json.dumps({"id": name, **document}, ensure_ascii=False))
    content = lzma.compress(("\n".join(lines) + "\n").encode(), preset=9 | lzma.PRESET_EXTREME)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(content)
    counts["bytes compressed"] = len(content)
    print(json.dumps(counts))
    arguments.out.with_name("topics.counts.json").write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
