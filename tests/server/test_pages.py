"""How texts and numbers look on a page."""

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("jinja2", reason="pages need the extra explorer")

from ffmem.cell import Document
from ffmem.queries.question import TokenChoice
from ffmem.queries.search import SentenceHit
from ffmem.server.pages import counted, instead, marked_spans, number, percent, token
from tests.test_markup import read


@pytest.mark.parametrize(
    ("text", "shown"),
    [(" the", "·the"), ("\n\t", "⏎⇥"), ("", "(empty)"), ("\x07<b>", "\\x07<b>"), ("\u202e", "\\x202e")],
)
def test_white_space_and_controls_of_a_token_can_be_seen(text: str, shown: str) -> None:
    assert read(token(text)).text == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (-0.123456, "\u22120.1235"), (1e-9, "1e\u221209"), (float("inf"), "inf")]
)
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (0.0, "0 %"), (0.12345, "12.3 %"), (1.0, "100 %")])
def test_shares(value: float | None, shown: str) -> None:
    assert percent(value) == shown


def hit(text: str, spans: tuple[tuple[int, int], ...]) -> SentenceHit:
    return SentenceHit(0, text, spans, None, 0, None, 1, False, Document(0, "d", {}))


@given(st.lists(st.text("ab<&\"' ", max_size=4), min_size=1, max_size=7))
def test_marks_stand_where_the_spans_are(parts: list[str]) -> None:
    """Every second part is one that was looked for."""
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    spans = tuple((ends[i] - len(parts[i]), ends[i]) for i in range(1, len(parts), 2))
    shown = read(marked_spans(hit("".join(parts), spans)))
    assert shown.text == "".join(parts) and shown.tags == ["mark"] * len(spans)


def test_another_token_takes_the_place_of_the_one_typed() -> None:
    choice = TokenChoice("the", None, ("·the",))
    assert instead(choice, " the", "fires", "river fires:the") == 'river fires:" the"'
    assert instead(choice, " the", "fires", 'fires:"the" x') == 'fires:" the" x'


@pytest.mark.parametrize(
    ("n", "words", "told"),
    [
        (0, ("cell",), "0 cells"),
        (1, ("cell",), "1 cell"),
        (1234, ("cell",), "1,234 cells"),
        (1, ("cell has", "cells have"), "1 cell has"),
        (2, ("cell has", "cells have"), "2 cells have"),
    ],
)
def test_a_count_agrees_with_its_noun(n: int, words: tuple[str, ...], told: str) -> None:
    assert counted(n, *words) == told


def test_no_template_puts_a_count_beside_a_noun_by_itself() -> None:
    """Else "1 triggers" comes back: counts and their nouns go through one filter."""
    nouns = "cells|sentences|tokens|triggers|documents|layers|items|patterns|positions|parts|batches|rows"
    beside = re.compile(rf"(?:\|count|\|length|\.n_\w+|\.n) \}}\}} (?:{nouns})\b")
    folder = files("ffmem.server").joinpath("templates")
    found = {file.name: beside.findall(file.read_text("utf-8")) for file in folder.iterdir()}
    assert not {name: texts for name, texts in found.items() if texts} and len(found) > 30
