"""What is remembered of an index, and forgotten: the oldest first, what was stopped, and what is too large."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ffmem import Index
from ffmem.queries import remembered
from ffmem.queries.remembered import Remembered


@dataclass(frozen=True)
class Answer:
    n_bytes: int
    text: str = ""


def test_the_last_few_are_kept(index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch) -> None:
    index, kept, made = index_of("llama"), Remembered[Answer](), []

    def ask(key: str, n_bytes: int = 10, text: str = "") -> Answer:
        def make() -> Answer:
            made.append(key)
            return Answer(n_bytes, text)

        return kept.get(index, key, make, lambda one: not one.text)

    assert ask("a") is ask("a") and made == ["a"]
    assert kept.get(index_of("gpt2"), "a", lambda: Answer(7)).n_bytes == 7  # of another index
    assert ask("b", text="stopped").text and ask("b").text == ""
    monkeypatch.setattr(remembered, "_MOST_BYTES", 25)
    ask("a")
    ask("c")
    assert list(kept.of(index)) == ["a", "c"]  # b was asked for before
    ask("large", 26)
    assert not kept.of(index)
    monkeypatch.setattr(remembered, "_MOST_KEPT", 2)
    for key in "xyz":
        ask(key, 1)
    assert list(kept.of(index)) == ["y", "z"]
