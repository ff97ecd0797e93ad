"""What is typed into one box, in parts."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, InputError
from ffmem.ids import CellId
from ffmem.queries.question import KEYS, Question, choose_token, parse_question
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    vocabulary = ["release", " release", " Releases", "releases", "fox", " box", "x", "  x", "dup", "dup"]
    documents = [Document([["fox", " box"]])]
    return make_index(
        tmp_path_factory.mktemp("made") / "i", documents, [Layer([[1, 2], [3, 4]])], vocabulary=vocabulary
    )


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("", {}),
        ("  L0.1 ", {"cell": CellId(0, 1)}),
        ("l0.1", {"cell": CellId(0, 1)}),
        ("L0.2", {"words": "L0.2"}),  # there is no such cell, so it is a word
        ("L0.1 river", {"words": "L0.1 river"}),
        ('the  "old river" bends', {"words": 'the "old river" bends'}),
        ("/a b/", {"regex": "a b"}),
        (r"/a\/b/ layer:3", {"regex": r"a\/b", "layer": "3"}),
        ("/usr/bin", {"words": "/usr/bin"}),
        ("promotes:sea", {"promotes": "sea"}),
        ('promotes:" sea" the', {"promotes": " sea", "exact": {"promotes"}, "words": "the"}),
        ('fires:" a" next:b', {"fires": " a", "next": "b", "exact": {"fires"}}),
        ("promotes:", {}),
        ('promotes:""', {}),
        ("topic:rivers", {"words": "topic:rivers"}),
        ("Promotes:sea", {"words": "Promotes:sea"}),
        ("layer:10: pattern:shallow said:water", {"layer": "10:", "pattern": "shallow", "said": "water"}),
        ("active:0.1..0.5", {"min_active": 0.1, "max_active": 0.5}),
        ("active:..1%", {"max_active": 0.01}),
        ("active:10%..", {"min_active": 0.1}),
        ("active:0.25", {"min_active": 0.25, "max_active": 0.25}),
        ("active:..", {}),
        ('"', {"words": '"'}),
    ],
)  # fmt: skip
def test_parts(index: Index, typed: str, parts: dict[str, Any]) -> None:
    expected: dict[str, Any] = {"cell": None, "words": "", "regex": ""} | parts
    found = parse_question(index, typed)
    assert found == Question(**expected | {"exact": frozenset(parts.get("exact", ()))})
    assert found.empty == (parts.keys() <= {"layer"})


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("fires:a fires:b", "fires: is given twice. Expected it once. Leave one of them out."),
        ("/a/ /b/", "two regular expressions are given. Expected one. Join them: /a.*b|b.*a/."),
        (
            "river /a/ old",
            "words are given beside a regular expression: river old. Expected either words or one regular expression "
            "between slashes. Put the words into the expression.",
        ),
        (
            "active:much",
            "active:much is not a range of shares. Expected two numbers with .. between them; either may be left out. "
            "Write active:0.1..0.5, active:..1% or active:10%..",
        ),
        ("active:0.1..200%", "active:0.1..200% is not a range"),
        ("active:-1..", "active:-1.. is not a range"),
        ("active:nan", "active:nan is not a range"),
        ("active:%", "active:% is not a range"),
    ],
)
def test_what_is_not_understood(index: Index, typed: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        parse_question(index, typed)
    assert str(error.value).startswith(told)


def test_what_a_question_asks_about_text(index: Index) -> None:
    assert parse_question(index, "old river").trigger == "old river"
    assert parse_question(index, "/old.*r/").trigger == "/old.*r/"
    assert parse_question(index, "fires:a").trigger is None and not parse_question(index, "fires:a").empty


WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters='"/:'), min_size=1, max_size=5
)


@given(st.dictionaries(st.sampled_from(sorted(set(KEYS) - {"active"})), WORD), st.lists(WORD, max_size=3), st.randoms())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_come_back_in_any_order(index: Index, keys: dict[str, str], words: list[str], dice: Any) -> None:
    parts = [*(f"{key}:{value}" for key, value in keys.items()), *words]
    order = dice.sample(range(len(parts)), len(parts))
    found = parse_question(index, "  ".join(parts[i] for i in order))
    assert {key: getattr(found, key) for key in KEYS if key != "active" and getattr(found, key)} == keys
    assert found.words == " ".join(parts[i] for i in order if i >= len(keys)) and not found.exact


@pytest.mark.parametrize(
    ("asked", "exact", "token", "others"),
    [
        ("release", False, " release", ("release", "releases", " Releases")),  # most words have a space
        ("release", True, "release", (" release", "releases", " Releases")),
        (" release", False, " release", ("release", "releases", " Releases")),
        ("fox", False, "fox", ()),
        ("box", False, " box", ()),
        ("box", True, None, (" box",)),
        ("RELEASES", False, None, ("releases", " Releases")),
        (" x", False, None, ("x", "  x")),
        ("dup", False, "dup", ()),
        ("id:5", False, "id:5", ()),
    ],
)
def test_the_token_that_is_meant(
    index: Index, asked: str, exact: bool, token: str | None, others: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index.text, "token_id_of_piece", lambda _: None)  # it was written without a tokenizer
    found = choose_token(index, asked, exact)
    assert (found.asked, found.token, found.others) == (asked, token, others)
    assert choose_token(index, asked, exact, limit=0).token == token


def test_a_token_as_the_tokenizer_writes_it(index_of: Callable[[str], Index]) -> None:
    gpt2 = index_of("gpt2")
    assert " the" in gpt2.text.vocabulary
    assert choose_token(gpt2, "Ġthe").token == "Ġthe" and choose_token(gpt2, "the").token == " the"
    assert choose_token(gpt2, "zebras of the sea").token is None
