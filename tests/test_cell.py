"""How a firing token is marked in its sentence, and which names may quote text."""

import random
from typing import Any

import pytest

from ffmem.cell import Name, mark


@pytest.mark.parametrize(
    ("text", "span", "parts"),
    [
        ("the fox", (3, 7), ("the ", "[fox]", "")),
        ("fox", (0, 3), ("", "[fox]", "")),
        ("a\n b", (1, 3), ("a", "[\n ]", "b")),
        ("fox \n", (0, 5), ("", "[fox]", " \n")),
        ("naïve", (2, 3), ("na", "[ï]", "ve")),
        ("a😀b", (2, 3), ("a", "[😀]", "b")),
        ("a😀b", (3, 6), ("a", "[😀b]", "")),
        ("ab", (1, 1), ("a", "[]", "b")),
    ],
)
def test_marks(text: str, span: tuple[int, int], parts: tuple[str, str, str]) -> None:
    assert mark(text, span) == parts
    assert mark(text, span, "<", ">")[1] == parts[1].replace("[", "<").replace("]", ">")


def test_nothing_is_lost_wherever_the_bytes_are_cut() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices("a é😀\u3000\n", k=rng.randint(1, 8)))
        n = len(text.encode())
        start = rng.randint(0, n - 1)
        end = rng.randint(start + 1, n)
        before, token, after = mark(text, (start, end))
        assert before + token[1:-1] + after == text
        marked_from = len(before.encode())
        marked = token[1:-1]
        covered = text.encode()[start:end].decode(errors="ignore")
        assert covered.strip() in marked and (marked == marked.strip() or not marked.strip())
        assert marked_from <= end


@pytest.mark.parametrize(
    ("source", "kind", "text", "quotes"),
    [
        ("rule", "token", "fires on a word", True),
        ("rule", "field", "mythology (topic, lift 9.1)", False),
        ("rule", "field", "two things: mythology / fires on 'sea'", True),
        ("rule", "always", "always on", False),
        ("human", "", "it's about the sea's colour", False),
        ("human", "", "the word 'sea'", True),
        ("lm", "phrase", "\u201cthe sea\u201d", True),
        ("import", "", "words like \u00absea\u00bb", True),
        ("lm", "topic", "seas and lakes", False),
    ],
)
def test_which_names_may_quote_the_text(source: Any, kind: str, text: str, quotes: bool) -> None:
    assert Name(text, source, "", kind=kind).quotes == quotes


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        ("rule", {"grade": "A"}, "Sure"), ("rule", {"grade": "C"}, "Weak"), ("rule", {"kind": "dead"}, "Counted"),
        ("rule", {"is_guess": True}, "A guess"), ("lm", {"score": 0.82}, "0.82"), ("human", {}, ""),
    ],
)  # fmt: skip
def test_how_sure_a_name_is_stands_in_words(source: Any, more: dict[str, Any], words: str) -> None:
    trust = Name("boats", source, "", **more).trust
    assert words in trust and bool(trust) == bool(words)
