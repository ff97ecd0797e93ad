"""What is typed into one box, in parts."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, InputError
from ffmem.ids import CellId
from ffmem.queries.question import Question, choose_token, parse_meta, parse_question, part_of_question, typed_question
from ffmem.queries.question_keys import KEYS
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
        ('"colour:rivers"', {"words": '"colour:rivers"'}),  # in quotes it is text
        ("12:30 ::", {"words": "12:30 ::"}),
        ("Promotes:sea", {"promotes": "sea"}),
        ("label:sea", {"named": "sea"}),
        ("meta.topic:sea META.Genre:story", {"meta": (("topic", "sea"), ("Genre", "story"))}),
        ('meta."a field":"two words"', {"meta": (("a field", "two words"),)}),
        (r'fires:"a\"b\\c"', {"fires": 'a"b\\c', "exact": {"fires"}}),
        ("in:favourites within:sentence", {"collection": "favourites", "within": "sentence"}),
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
    assert found.empty == (not parts)


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
        ("L0.2", "cell L0.2 does not exist"),
        ("tpoic:x", "tpoic: is no key. Expected one of: topic:, fires:,"),
        ("meta.:x", "meta.: is no key"),
        ("http://x", "http: is no key"),
        ("within:page", "within:page is neither. Expected prefix or sentence. Write within:sentence."),
        ("meta.a:1 meta.a:2", "meta.a: is given twice"),
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


WORD = st.text(st.sampled_from("aZ9é水–.,-_'()*"), min_size=1, max_size=5)


@given(
    st.dictionaries(st.sampled_from(sorted(set(KEYS) - {"active", "in", "within"})), WORD),
    st.lists(WORD, max_size=3),
    st.randoms(),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_come_back_in_any_order(index: Index, keys: dict[str, str], words: list[str], dice: Any) -> None:
    parts = [*(f"{key}:{value}" for key, value in keys.items()), *words]
    order = dice.sample(range(len(parts)), len(parts))
    found = parse_question(index, "  ".join(parts[i] for i in order))
    assert {key: value for key in keys if (value := getattr(found, key))} == keys
    assert found.words == " ".join(parts[i] for i in order if i >= len(keys)) and not found.exact


def test_the_nearest_key_is_named(index: Index) -> None:
    for typed, near in (
        ("tpoic:x", "topic"),
        ("promote:x", "promotes"),
        ("lable:x", "label"),
        ("metatopic:x", "meta.FIELD"),
    ):
        with pytest.raises(InputError, match=f"Write {near}: instead, or put it in quotes if it is text"):
            parse_question(index, typed)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(sorted(set(KEYS) - {"active", "within"})),
            st.text(min_size=1, max_size=6).filter(lambda one: '"' not in one).map(lambda one: f"meta.{one}"),
        ),
        st.text(min_size=1, max_size=8),
        max_size=4,
    )
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_form_says_is_read_as_it_was_meant(index: Index, asked: dict[str, str]) -> None:
    """Values and fields of any characters, hostile ones too, survive the box."""
    found = parse_question(index, typed_question('"old river"', asked.items()))
    given = {"in" if key == "collection" else key: value for key, value in vars(found).items()}
    keys = {key: given[key] for key in set(KEYS) - {"active", "within"} if given[key]}
    assert keys | {f"meta.{name}": value for name, value in found.meta} == asked
    assert found.words == '"old river"'


@given(st.dictionaries(st.text(min_size=1).filter(lambda one: '"' not in one), st.text(min_size=1), max_size=3))
def test_fields_of_the_command_line_are_read_as_they_were_meant(meta: dict[str, str]) -> None:
    typed = " ".join(part_of_question(f"meta.{name}", value).removeprefix("meta.") for name, value in meta.items())
    assert parse_meta(typed) == meta


@pytest.mark.parametrize("typed", ["topic", "topic:", "a:1 a:2", ":x"])
def test_what_is_no_field_with_a_value_is_refused(typed: str) -> None:
    with pytest.raises(InputError, match=r"--meta has .* Expected each field once, with a value"):
        parse_meta(typed)


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
