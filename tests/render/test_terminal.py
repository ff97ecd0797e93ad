"""Texts that come from elsewhere cannot disturb a terminal, and fit into it."""

import pytest

from ffmem.cell import PromotedToken
from ffmem.render.terminal import around, duration, one_line, tokens


def test_no_control_character_is_let_through() -> None:
    assert one_line("a\nb\tc\r\x1b[2J\x07é日") == "a b c \\x1b[2J\\x07é日"
    assert tokens((PromotedToken(" the", 1, 0.0), PromotedToken("\n", 2, 0.0))) == "⟨ the⟩ ⟨ ⟩"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.6, "1 h 00 min"), (7380, "2 h 03 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_token_stays_in_sight() -> None:
    left, right = "l" * 80, "r" * 80
    shown = around(left, "[fox]", right, 40)
    assert len(shown) == 40 and "[fox]" in shown and shown.startswith("…l") and shown.endswith("r…")
    assert around("a ", "[fox]", " b", 40) == "a [fox] b"
