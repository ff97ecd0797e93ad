"""Sentences: exact pieces of their document, with nothing but white space between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.corpus.sentences import Sentence, split_sentences

WORDS = [
    "Dr. Smith",
    "a word",
    "e.g.",
    "...",
    "?!",
    ".",
    "。",
    "日本語",
    "😀",
    "👩\u200d👧",
    "é",
    "e\u0301",
    "“No.” ",
    "(x)",
]
GAPS = [" ", "  ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\x0b", "\0"]
DOCUMENTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(GAPS) | st.text(max_size=4), max_size=30).map("".join)

SPACE = {chr(c) for c in range(0x110000) if chr(c).isspace()} - set("\x1c\x1d\x1e\x1f")
"""Unicode's White_Space: Python's own idea but for four control characters, which are no white space there."""


def split(text: str, how: str = "sentences") -> list[str]:
    return [sentence.text for sentence in split_sentences(text, how)]


@pytest.mark.parametrize("how", ["sentences", "lines"])
@given(text=DOCUMENTS)
def test_sentences_are_exact_pieces_with_white_space_between(how: str, text: str):
    data, end, gaps = text.encode(), 0, []
    for sentence in split_sentences(text, how):
        piece = sentence.text.encode()
        assert piece
        assert sentence.text[0] not in SPACE and sentence.text[-1] not in SPACE
        assert data[sentence.start_byte : sentence.start_byte + len(piece)] == piece
        gaps.append(data[end : sentence.start_byte])
        end = sentence.start_byte + len(piece)
    gaps.append(data[end:])
    assert set(b"".join(gaps).decode()) <= SPACE


@given(text=DOCUMENTS)
def test_a_blank_line_ends_a_sentence(text: str):
    assert not any("\n\n" in sentence.text for sentence in split_sentences(text, "sentences"))


def test_sentences():
    text = "Dr. Smith went home. He slept!\nDid he?  Yes"
    assert split(text) == ["Dr. Smith went home.", "He slept!", "Did he?", "Yes"]


def test_a_sentence_may_go_over_a_line_end():
    assert split("He went\nhome. She\r\ntoo.") == ["He went\nhome.", "She\r\ntoo."]


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n", "\n\n\n\n"])
def test_a_paragraph_without_a_full_stop(gap: str):
    assert list(split_sentences(f"a title{gap}é text", "sentences")) == [
        Sentence("a title", 0),
        Sentence("é text", len(f"a title{gap}")),
    ]


def test_places_are_bytes_not_characters():
    text = "Hi 😀. 日本語です。次です。 End."
    assert list(split_sentences(text, "sentences")) == [
        Sentence("Hi 😀.", 0),
        Sentence("日本語です。", 9),
        Sentence("次です。", 27),
        Sentence("End.", 40),
    ]


def test_lines():
    assert split("  One. Two.\r\n\n\t\nthree ", "lines") == ["One. Two.", "three"]


def test_the_language_decides_about_abbreviations():
    text = "Das ist z.B. Herr Prof. Müller. Gut."
    assert [s.text for s in split_sentences(text, "sentences", "de")] == ["Das ist z.B. Herr Prof. Müller.", "Gut."]


@pytest.mark.parametrize("text", ["", " ", "\n\n \u3000\n"])
@pytest.mark.parametrize("how", ["sentences", "lines"])
def test_no_sentence(text: str, how: str):
    assert split(text, how) == []


ENDS = ["\n", "\r", "\r\n"]
NO_ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]


@given(st.lists(st.text("ab é日.", max_size=3) | st.sampled_from(ENDS) | st.sampled_from(NO_ENDS), max_size=20))
def test_lines_end_at_line_ends_and_nowhere_else(parts: list[str]):
    text = "".join(parts)
    plain = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert split(text, "lines") == [line for line in (one.strip("".join(SPACE)) for one in plain) if line]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("between", ["", " ", "\u00a0", "\u3000", "\x0b"])
def test_a_blank_line_ends_a_sentence_whatever_its_end_and_its_space(end: str, between: str):
    text = f"a title{end}{between}{end}é text"
    assert split(text) == ["a title", "é text"]
    assert list(split_sentences(text, "sentences"))[1].start_byte == len(f"a title{end}{between}{end}".encode())


def test_one_line_end_of_windows_is_no_blank_line():
    assert split("a title\r\n  é text") == ["a title\r\n  é text"]


def test_a_line_of_a_control_character_is_not_blank():
    assert split("one\n\x1c\ntwo", "lines") == ["one", "\x1c", "two"]
    assert split("one\n\x1c\ntwo") == ["one\n\x1c\ntwo"]
