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


def split(text: str, how: str = "sentences") -> list[str]:
    return [sentence.text for sentence in split_sentences(text, how)]


@pytest.mark.parametrize("how", ["sentences", "lines"])
@given(text=DOCUMENTS)
def test_sentences_are_exact_pieces_with_white_space_between(how: str, text: str):
    data, end, gaps = text.encode(), 0, []
    for sentence in split_sentences(text, how):
        piece = sentence.text.encode()
        assert piece
        assert sentence.text == sentence.text.strip()
        assert data[sentence.start_byte : sentence.start_byte + len(piece)] == piece
        gaps.append(data[end : sentence.start_byte])
        end = sentence.start_byte + len(piece)
    gaps.append(data[end:])
    assert [gap for gap in gaps if gap.decode().strip()] == []


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
