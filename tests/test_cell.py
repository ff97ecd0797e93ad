"""How a firing token is marked in its sentence."""

import random

import pytest

from ffmem.cell import mark


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
