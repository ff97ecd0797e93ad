"""Every part of a stored text is found, in any script, or the answer says what it did not look for."""

import random
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ffmem
from ffmem import Index
from ffmem.corpus.documents import Document
from ffmem.corpus.tokens import TokenizedSentence, Window
from ffmem.index.text.text_spool import TextSpool, sentence_key
from ffmem.queries import search
from ffmem.queries.search import matching_sentences, read_sentences
from ffmem.queries.wanted import is_word, literal, parse_words
from ffmem.store.text import TextReader

SCRIPTS = (
    'the Fox, runs e.g. C++ 1,000 snake_case it\'s 50% a\\b [x] "q" naïve Ünïcode ẞtraße ǅ İi ſ',
    "日本語の文章です。漢字かなカナー々〇ｶﾅ、全角ＡＢＣ　終",
    "ภาษาไทย ສະບາຍດີ ភាសាខ្មែរ မြန်မာစာ བོད་ཡིག",
    "한국어는 띄어쓴다. ᄒᆞᆫ글",
    "हिन्दी में घर है। বাংলা தமிழ் తెలుగు",
    "שָׁלוֹם עולם السَّلامُ عليكم نمی‌خواهم",
    "cafe\u0301 Поезд ПОЕЗД Ἑλλάς 𐐀𐐨 𞤀𞤢 ᲐᲑᲒ Ꭰꭰ",
    "😀👩‍👩‍👧❤️🇩🇪👍🏽 ☃ € → ∑ ½ № ™ ~ ^ | < > $ # @",
    "\x01\x02\x03\x7f\x1c\u0085\u00a0\u200b\u2028\u3000\ufeff\U000e0001",
)
"""Some letters are younger than SQLite's tables of Unicode; some have no case, some have three."""


class TextOnly:
    """An index of which only the text is there: what finds sentences asks for no more."""

    def __init__(self, folder: Path, lines: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        with TextSpool(folder, ["<all>"]) as spool:
            spool.add_document(0, Document("lines", "\n".join(lines)), held_out=False)
            for line in lines:
                ends = np.array([len(line.encode())], dtype=np.uint16)
                tokens = TokenizedSentence(np.zeros(1, dtype=np.uint16), np.zeros(1, dtype=np.uint16), ends)
                window = Window(0, line, tokens, 0)
                spool.add_sentence(0, window, held_out=False, key=sentence_key(window, False))
            spool.finish(len(lines))
        self.text, self.lines = TextReader(folder), lines


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> TextOnly:
    dice = random.Random(0)
    lines = [*SCRIPTS]
    for _ in range(60):
        pieces = []
        for script in dice.choices(SCRIPTS, k=4):
            begin = dice.randrange(len(script))
            pieces.append(script[begin : begin + dice.randint(1, 8)])
        lines.append("x" + dice.choice(("", " ")).join(pieces) + "x")
    return TextOnly(tmp_path_factory.mktemp("texts") / "index", lines)


def found_in(texts: TextOnly, query: str) -> tuple[set[int], bool]:
    """What a search finds, and whether it looked for whole words."""
    wanted = parse_words(query)
    ids = texts.text.matching(wanted.query) if not wanted.literals else []
    if len(ids):
        return set(ids), True
    reading = read_sentences(texts, wanted, 1e9)  # type: ignore[arg-type]
    return set(reading.ids.tolist()), bool(reading.wanted.words)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SCRIPTS) + 59), st.integers(0, 10_000), st.integers(1, 12))
def test_every_part_of_a_sentence_is_found(texts: TextOnly, number: int, begin: int, length: int) -> None:
    line = texts.lines[number]
    begin %= len(line)
    query = line[begin : begin + length]
    exact = {other for other, text in enumerate(texts.lines) if query in text}
    assert number in exact
    reading = read_sentences(texts, literal(query), 1e9)  # type: ignore[arg-type]
    assert exact <= set(reading.ids.tolist())
    in_any_case = re.compile(re.escape(query), re.IGNORECASE)
    assert all(in_any_case.search(texts.lines[other]) for other in reading.ids)
    if query.split():
        ids, whole = found_in(texts, query)
        parts = [one.text for one in parse_words(query).literals]
        assert ids
        for other in exact - ids:  # only where the answer says that it looked for whole words
            assert whole and all(part in texts.lines[other] for part in parts)


@pytest.mark.parametrize(
    ("query", "inside"),
    [
        ("日本", "日本語の文章です"), ("本", "日本語"), ("カナー", "カナー々"), ("ＢＣ", "ＡＢＣ"), ("ไทย", "ภาษาไทย"),
        ("국어", "한국어는"), ("ែ", "ភាសាខ្មែរ"), ("हिन", "हिन्दी"), ("्", "हिन्दी"), ("שלום", None), ("שָׁ", "שָׁלוֹם"),
        ("\u0301", "cafe\u0301"), ("❤️", "❤️"), ("👧", "👩‍👩‍👧"), ("\u200d", "👩‍👩‍👧"), ("🏽", "👍🏽"),
        ("c++", "C++"), ("E.G.", "e.g."), ("1,000", "1,000"), ("_", "snake_case"), ("%", "50%"), ("\\", "a\\b"), ('"', '"q"'),
        ("'s", "it's"), ("оез", "Поезд"), ("ᲐᲑ", "ᲐᲑᲒ"), ("unn", None), ("\x01", "\x01"), ("œ", None),
        ('"\u3000"', "\u3000"), ("ÏV", "naïve"),
    ],
)  # fmt: skip
def test_what_people_look_for(query: str, inside: str | None, texts: TextOnly) -> None:
    ids, _ = found_in(texts, query)
    assert (inside is None) == (not ids)
    if inside is not None:
        assert any(inside in texts.lines[number] for number in ids)


def test_words_keep_their_meaning(texts: TextOnly) -> None:
    assert [is_word(one) for one in ("fox", "naïve", "Поезд", "1000", "घर", "عليكم", "cafe\u0301")] == [True] * 7
    assert not any(map(is_word, ("日本", "it's", "e.g.", "\u0301a", "हिन्दी", "", "☃", "ไทย", "한", "_", "snake_case")))
    wanted = parse_words('fox "brown dog" "a, b" C++ "half')
    assert wanted.query == '"fox" "brown dog"'
    assert [one.text for one in wanted.literals] == ["a, b", "C++", '"half']
    assert matching_sentences(texts, "fox runs")[0].tolist() == [0]  # type: ignore[arg-type]
    both = [number for number, line in enumerate(texts.lines) if "日本" in line and "終" in line]
    assert matching_sentences(texts, "日本 終")[0].tolist() == both and both  # type: ignore[arg-type]


def test_letters_are_words_as_sqlite_has_them(tmp_path: Path) -> None:
    """What is called a word is found as one by the table itself, whatever stands around it."""
    letters = [chr(code) for code in range(0x20, 0x3000, 23) if unicodedata.category(chr(code))[0] in "LNMPS"]
    letters += [*"abcxyzABCXYZ059", *{character for script in SCRIPTS for character in script}]
    words = [f"q{letter}z" for letter in letters if is_word(letter)]
    texts = TextOnly(tmp_path / "index", [f"({word}) -{word}-" for word in words])
    assert len(words) > 200
    for number in range(0, len(words), 3):
        assert number in texts.text.matching(f'"{words[number]}"')
    assert not [letter for letter in letters if not is_word(letter) and letter.isascii() and letter.isalnum()]


def test_an_answer_says_how_it_looked(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    lines = [index.text.sentence(number).text for number in range(index.text.n_all_sentences)]
    whole = search(index, "river", limit=10_000)
    assert whole.sought == "as whole words; --literal finds them within longer words too" and not whole.note
    within = search(index, "rive", limit=10_000)
    assert within.note == "No sentence has rive as whole words: these have it within longer words."
    assert [hit.sentence_id for hit in within.hits] == [n for n, line in enumerate(lines) if "rive" in line.lower()]
    for syntax, query in (("words", "."), ("literal", "r a"), ("literal", "THE ")):
        found = search(index, query, syntax=syntax, limit=10_000)  # type: ignore[arg-type]
        assert [hit.sentence_id for hit in found.hits] == [
            n for n, line in enumerate(lines) if query.lower() in line.lower()
        ]
        assert found.n_matches == len(found.hits) and found.sought == "exactly as written, within words too"
        for hit in found.hits:
            marked = [hit.text[slice(*span)].lower() for span in hit.spans]
            assert marked == re.findall(re.escape(query.lower()), hit.text.lower())
    mixed = search(index, "the river .", limit=10_000)
    assert mixed.sought == "the river as whole words, . exactly as written"
    both = search(index, "the river", limit=10_000)
    assert {hit.sentence_id for hit in mixed.hits} == {hit.sentence_id for hit in both.hits if "." in hit.text}
    assert not search(index, "zzz", limit=10).hits and not search(index, "zzz +", limit=10).hits
    assert (
        ffmem.queries.find(index, trigger="rive").n_found == ffmem.queries.find(index, trigger="/(?i)rive/").n_found > 0
    )


def test_reading_stops_in_time_and_says_how_far_it_came(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    found = search(index, "+", time_limit_s=-1)
    assert found.n_searched == 0 and "a larger --time-limit searches the rest" in found.note
