"""Search against reading every sentence."""

import re
import sys
from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries import marked, search
from ffmem.queries.search import _rankings, required_literal, scan_sentences
from ffmem.store.text import TextReader


def sentences(index: Index) -> list[str]:
    return [index.text.sentence(i).text for i in range(index.text.n_all_sentences)]


@pytest.mark.parametrize("words", ["silver", "SILVER river", '"of the"', "river's", "of OR the"])
def test_words_find_every_sentence_that_has_them(words: str, index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    found = search(index, words, limit=10_000)

    def matches(text: str) -> bool:
        spaced = f" {' '.join(re.findall(r'[a-z]+', text.lower()))} "
        parts = re.findall(r'"([^"]*)"|(\S+)', words.lower())
        return all(f" {' '.join(re.findall('[a-z]+', phrase or word))} " in spaced for phrase, word in parts)

    expected = {i for i, text in enumerate(sentences(index)) if matches(text)}
    assert {hit.sentence_id for hit in found.hits} == expected and found.n_matches == len(expected)
    assert found.note == "" and found.n_searched == index.text.n_all_sentences
    scores = [hit.score or 0 for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.sentence_id for hit in search(index, words, limit=3).hits] == [h.sentence_id for h in found.hits[:3]]


def test_another_page_asks_for_no_ranking_again(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, ranked = index_of("llama"), TextReader.ranked
    found, asked = search(index, "of the river", limit=10_000).hits, []

    def counted(self: TextReader, query: str, last: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(query)
        return ranked(self, query, last)

    monkeypatch.setattr(TextReader, "ranked", counted)
    pages = [search(index, "of the river", start=start, limit=3) for start in range(0, len(found) + 1, 3)]
    assert tuple(hit for page in pages for hit in page.hits) == found and len(found) > 3 and not asked
    assert {page.n_matches for page in pages} == {len(found)}
    search(index, "the river of")
    assert asked == ['"the" "river" "of"']


def test_of_many_the_first_are_ranked(index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch) -> None:
    """By scores of all: those of a query without a limit, in that order."""
    index = index_of("llama")
    everything = search(index, "the", limit=10_000).hits
    first = {hit.sentence_id for hit in sorted(everything, key=lambda hit: hit.sentence_id)[:7]}
    monkeypatch.setattr(sys.modules["ffmem.queries.search"], "_RANKED", 7)
    _rankings.of(index).clear()
    few = search(index, "the", limit=10_000)
    _rankings.of(index).clear()
    assert few.hits == tuple(hit for hit in everything if hit.sentence_id in first) and len(everything) > 9
    assert few.n_matches == 8 and few.note.startswith("More than 7 sentences match: the best of the first 7 are shown.")


def test_the_parts_that_match_are_marked(index_of: Callable[[str], Index]) -> None:
    for hit in search(index_of("llama"), "silver the", limit=10_000).hits:
        assert [hit.text[start:end].lower() for start, end in hit.spans] == re.findall(
            r"\b(?:silver|the)\b", hit.text.lower()
        )
        assert marked(hit, "<", ">").replace("<", "").replace(">", "") == hit.text


def test_cells_are_those_with_the_sentence_among_their_triggers(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    hits = search(index, "silver", with_cells=True, limit=10_000).hits
    expected: dict[int, set[str]] = {hit.sentence_id: set() for hit in hits}
    for place, layer in enumerate(index.cells.layers):
        for row in range(layer.n_cells):
            cell = index.cell(index.cells.cell_id(place, row))
            for trigger in cell.triggers:
                expected.get(trigger.sentence_id, set()).add(str(cell.cell))
    for hit in hits:
        assert {str(one.cell) for one in hit.cells or ()} == expected[hit.sentence_id]
        assert hit.n_cells == len(expected[hit.sentence_id])
        assert hit.held_out == index.text.sentence(hit.sentence_id).held_out
    assert any(hit.held_out for hit in hits) and not any(hit.n_cells for hit in hits if hit.held_out)
    assert any(hit.n_cells for hit in hits)


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '"fox',
        "fox:bar",
        "-river",
        "*",
        "river AND",
        "NEAR(",
        "a\0b",
        "{river}",
        "^the",
        "%",
        "_",
        "\\",
        "'",
        "\x02",
    ],
)
def test_no_text_is_a_syntax_error(text: str, index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    for syntax in ("words", "literal"):
        search(index, text, syntax=syntax)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", ["words", "literal"])
def test_what_cannot_be_searched_for_is_refused(syntax: str, index_of: Callable[[str], Index]) -> None:
    for text, message in (("", "nothing to search for"), ("river\udcff", "is not UTF-8")):
        with pytest.raises(InputError, match=message):
            search(index_of("llama"), text, syntax=syntax)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"nothing to search for.*put it in quotes, or use --literal"):
        search(index_of("llama"), " \t")


def test_raw_syntax_works_and_its_errors_are_clear(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    either = search(index, "silver OR winter", syntax="raw", limit=10_000).n_matches
    both = search(index, "silver winter", limit=10_000).n_matches
    assert either == sum(search(index, word).n_matches for word in ("silver", "winter")) - both
    with pytest.raises(InputError) as error:
        search(index, "silver OR", syntax="raw")
    assert str(error.value) == (
        "the full-text query 'silver OR' is not understood: fts5: syntax error near \"\". Expected FTS5 syntax, such as: "
        'fox OR hound*, "brown fox", NEAR(fox dog, 5). Leave --raw out to search for plain words.'
    )


@pytest.mark.parametrize("pattern", [r"\bs\w+r\b", "silver.*the", "^The", "(river|stone)s?", "x*", "[^a-zA-Z .]"])
def test_an_expression_finds_what_re_finds(pattern: str, index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    found = search(index, pattern, syntax="regex", limit=10_000)
    expected = [i for i, text in enumerate(sentences(index)) if re.search(pattern, text)]
    assert [hit.sentence_id for hit in found.hits] == expected
    for hit in found.hits:
        assert list(hit.spans) == [m.span() for m in re.finditer(pattern, hit.text) if m.group()]
    few = search(index, pattern, syntax="regex", limit=1)
    assert [hit.sentence_id for hit in few.hits] == expected[:1]


def test_an_expression_stops_in_time_and_says_how_far_it_came(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    scan = scan_sentences(index, r"(\w|\s|\w\w)+[^\w\s.]$", 10**9, 0.2)
    n = index.text.n_all_sentences
    assert scan.n_searched < n
    assert scan.note == (
        f"Stopped after 0.2 s with {scan.n_searched:,} of {n:,} sentences searched: a larger --time-limit searches the rest."
    )


def test_a_wrong_expression_is_an_error(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"the regular expression '\(' is not understood"):
        search(index_of("llama"), "(", syntax="regex")


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [("ab+c", "ab"), ("abc*d", "ab"), (r"foo\.bar", "foo.bar"), (r"\bfoo\b", "foo"), ("a|b", ""), ("x*?yz", "yz"),
     ("a??bc", "bc"), ("(?i)a", ""), (r"\x41b", ""), ("a{0}b", ""), ("[ab]c", ""), ("", ""), (r"\.?ab", "ab")],
)  # fmt: skip
def test_the_literal_is_in_every_match(pattern: str, literal: str) -> None:
    assert required_literal(pattern) == literal
