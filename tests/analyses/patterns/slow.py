"""The slow obvious way: prefixes as lists of token ids, values as tuples, counts in dictionaries."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ffmem import Index

SINGLE = ("token", "final-2-gram", "final-3-gram", "final-4-gram", "position", "shape", "topic")
LENGTHS = {"final-2-gram": 2, "final-3-gram": 3, "final-4-gram": 4, "2-gram": 2, "3-gram": 3}


@dataclass(frozen=True)
class Prefix:
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    """As in the vocabulary."""
    touches: bool
    """Whether the last token begins where the one before it ends."""
    sentence: tuple[int, ...]
    topic: Any
    document: int


def prefixes_of(index: Index, sentence_id: int, field: str = "topic") -> list[Prefix]:
    row = index.text.sentence(sentence_id)
    ids, pieces = tuple(row.token_ids.tolist()), index.text.token_strings(row.token_ids.tolist())
    topic = index.text.document(row.document_id).metadata.get(field)
    return [
        Prefix(
            ids[: end + 1],
            pieces[: end + 1],
            end > 0 and int(row.token_starts[end]) == int(row.token_ends[end - 1]),
            ids,
            topic,
            row.document_id,
        )
        for end in range(len(ids))
    ]


def shape(prefix: Prefix) -> str:
    piece = prefix.pieces[-1].removeprefix("##") or "##"
    if prefix.touches and piece[0].isalpha() and prefix.pieces[-2][-1].isalpha():
        return "the continuation of a word"
    core = piece.strip()
    letters, digits = [c for c in core if c.isalpha()], [c for c in core if c.isnumeric()]
    if core == "":
        return "white space"
    if not letters:
        return "a number" if digits else "punctuation"
    if len(letters) < len(core):
        return "mixed characters"
    upper = [c.isupper() for c in core]
    if all(c.islower() for c in core):
        return "a lower-case word"
    if upper[0] and not any(upper[1:]):
        return "a capitalised word"
    return "a word in capitals" if all(upper) else "mixed characters"


def values(kind: str, prefix: Prefix) -> set[Any]:
    """All values of a kind that a prefix has."""
    ids, n = prefix.ids, LENGTHS.get(kind, 0)
    if kind == "token":
        return {ids[-1]}
    if kind == "position":
        return {len(ids) - 1}
    if kind == "shape":
        return {shape(prefix)}
    if kind == "topic":
        return {prefix.topic}
    if kind.startswith("final"):
        return {ids[-n:]} if len(ids) >= n else set()
    return {ids[i : i + n] for i in range(len(ids) - n + 1)}


def shared(kind: str, triggers: list[Prefix]) -> dict[Any, list[int]]:
    """Value -> the triggers that share it, three or more, topics from as many documents; repeats of a prefix left out."""
    having: dict[Any, list[int]] = {}
    seen = set()
    for number, one in enumerate(triggers):
        if one.ids not in seen:
            for value in values(kind, one):
                having.setdefault(value, []).append(number)
        seen.add(one.ids)
    return {value: numbers for value, numbers in having.items() if n_counted(kind, [triggers[i] for i in numbers]) >= 3}


def n_counted(kind: str, triggers: list[Prefix]) -> int:
    """Different prefixes; for topics, the different documents that the first of each is from."""
    firsts = {one.ids: one for one in reversed(triggers)}
    return len({one.document for one in firsts.values()} if kind == "topic" else firsts)


def chance(kind: str, prefixes: list[Prefix]) -> tuple[dict[Any, float], int]:
    """Value -> its share of prefixes; and how many values could be shared."""
    counts = Counter(value for one in prefixes for value in values(kind, one))
    occurrences = counts
    if kind in ("2-gram", "3-gram"):
        occurrences = Counter(value for one in prefixes for value in values("final-" + kind, one))
    frequent = [value for value, n in occurrences.items() if n >= 3]
    return {value: n / len(prefixes) for value, n in counts.items()}, len(frequent)


WORDS = {"topic": (1, 2), "final-2-gram": (1,), "final-3-gram": (2,), "final-4-gram": (3,), "position": (1,)}
"""By how many last tokens prefixes are matched."""
_counted: dict[tuple[int, str], dict[tuple[Any, ...], Counter[Any]]] = {}


def given_words(
    kind: str, value: Any, triggers: list[Prefix], k: int, frequency: float, prefixes: list[Prefix]
) -> list[float]:
    """The chance that k or more have a value among prefixes with the same last tokens as each trigger."""
    by_words = _counted.get((id(prefixes), kind))
    if by_words is None:
        by_words = _counted[id(prefixes), kind] = {}
        for one in prefixes:
            for n in WORDS.get(kind, ()):
                for having in values(kind, one) or {None}:
                    by_words.setdefault((n, one.ids[-n:]), Counter())[having, one.document] += 1
    seen_ids, seen_documents = set(), set()
    distributions = [[1.0] for _ in WORDS.get(kind, ())]
    for one in triggers:
        if one.ids not in seen_ids and not (kind == "topic" and one.document in seen_documents):
            known = frequency
            for number, n in enumerate(WORDS.get(kind, ())):
                others = {
                    key: c for key, c in by_words.get((n, one.ids[-n:]), Counter()).items() if key[1] != one.document
                }
                having = sum(c for (of, _), c in others.items() if of == value)
                known = (having + 5 * known) / (sum(others.values()) + 5)
                before = [*distributions[number], 0.0]
                distributions[number] = [
                    p * (1 - known) + (before[i - 1] * known if i else 0) for i, p in enumerate(before)
                ]
            seen_documents.add(one.document)
        seen_ids.add(one.ids)
    return [sum(one[k:]) for one in distributions]
