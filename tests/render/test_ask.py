"""Answers of all cells at once."""

import pytest

from ffmem.cell import Document, PromotedToken
from ffmem.ids import CellId
from ffmem.queries import (
    CellDiff,
    Diff,
    Found,
    FoundCell,
    Promoting,
    PromotingCell,
    SearchResult,
    SentenceHit,
    Similar,
    SimilarCell,
)
from ffmem.render import ask
from tests.render import made

CELL = CellId(1, 3)


def test_a_match_far_into_a_long_sentence_is_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = "a" * 200 + " fox " + "b" * 200
    hit = SentenceHit(3, text, ((201, 204),), None, 1234, None, 1, True, Document(0, "d", {}))
    found = SearchResult((hit,), 1, 500, 500, "Note.", "as whole words")
    _, line, end = ask.search(found).split("\n")
    assert line.split()[:2] == ["3", "1,234"] and "(held out) …a" in line and "[fox]" in line and line.endswith("b…")
    assert len(line) <= 80
    assert end == "1 of 500 sentences searched match, searched for as whole words. Note."


@pytest.mark.parametrize(("suppressed", "verb"), [(False, "promote"), (True, "suppress")])
def test_cells_that_promote_a_token(suppressed: bool, verb: str) -> None:
    row = PromotingCell(CELL, None, 1.5, 12345, (" sea",))
    lines = ask.promoting(Promoting(PromotedToken(" sea", 5, 0.0), suppressed, 77, (row,))).split("\n")
    assert lines[0].split() == ["cell", "rank", "true", "rank", "score", f"{verb}s"]
    assert lines[1].split() == ["L1.3", "-", "12,345", "1.5", "⟨", "sea⟩"]
    assert lines[2] == f"77 cells have ⟨ sea⟩ among the tokens that they {verb} most."


def test_cells_that_are_found() -> None:
    row = FoundCell(CELL, -1, 0.5, 0, 2.5, 2, (made.trigger(),), n_all_triggers=50)
    head, trigger, end = ask.found(Found((row,), 9, "")).split("\n")
    assert head == "L1.3, negative coefficients: active at 50.00%; promotes it at rank 0 (2.5); 2 of 50 triggers match"
    assert "[river]" in trigger and end == "9 cells found."


def test_near_cells() -> None:
    _, line = ask.similar(Similar(CELL, "triggers", (SimilarCell(CELL, 0.25, 4, None, ()),))).split("\n")
    assert line.split() == ["L1.3", "0.2500", "4", "-"]


def test_a_diff_names_what_was_compared() -> None:
    row = CellDiff(CELL, 0.1, 0.2, 0.3, 0.4, (0.5, 0.6), (0.7, 0.8))
    first, second, line, end = ask.diff(Diff("firing tokens", "triggers", 0.9, 0.625, (row,))).split("\n")
    assert line.split() == ["L1.3", *(f"{n / 10:.4f}" for n in range(1, 7)), "0.7", "0.8"]
    assert "firing tokens" in second and len(first) <= len(line) == len(second)
    assert end == "mean overlap of firing tokens: 0.6250 (rank-biased, p 0.9)"
