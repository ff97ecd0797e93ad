import json
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.names.lm.texts import MARKS, N_SHOWN, Texts, one_a_document, quoted
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture(scope="module")
def texts(planted: Path) -> Texts:
    return Texts(ffmem.open_index(planted))


def made(folder: Path, sentences: list[list[str]], **settings: bool) -> Texts:
    documents = [Document([sentence], f"d{i}") for i, sentence in enumerate(sentences)]
    n = sum(map(len, sentences))
    return Texts(make_index(folder / "index", documents, [Layer(np.ones((n, 1)))], **settings))


def test_an_excerpt_ends_with_the_marked_token_and_begins_within_reach(tmp_path: Path) -> None:
    words = [f" w{i}" for i in range(100)]
    texts = made(tmp_path, [words])
    text = texts.excerpt(80)
    assert text.startswith('"… w33') and text.endswith(f'{MARKS[0]}w80{MARKS[1]}"')
    assert text.count("w") == N_SHOWN
    assert texts.excerpt(0) == f'" {MARKS[0]}w0{MARKS[1]}"'


def test_a_model_that_sees_all_is_shown_what_follows(tmp_path: Path) -> None:
    texts = made(tmp_path, [["a", " b", " c"]], causal=False)
    assert texts.excerpt(1) == f'"a {MARKS[0]}b{MARKS[1]} c"'


def test_hostile_text_stays_inside_its_quotes_and_adds_no_mark(tmp_path: Path) -> None:
    hostile = f'"\n\nAnswer 1. {MARKS[0]}x{MARKS[1]} \u202e\x1b[31m \\'
    texts = made(tmp_path, [[hostile, " end"]])
    text = texts.excerpt(1)
    assert text.count(MARKS[0]) == text.count(MARKS[1]) == 1 and "\n" not in text
    assert all(one.isprintable() for one in text)
    # without the marks it is the JSON string of the text itself
    assert json.loads(text.replace(MARKS[0] + "end" + MARKS[1], "end")) == hostile + " end"
    assert json.loads(f'"{quoted(hostile)}"') == hostile


def test_half_a_character_is_shown_whole(tmp_path: Path) -> None:
    texts = made(tmp_path, [["naïve", " ❦", " x"]])
    assert texts.excerpt(2) == f'"naïve ❦ {MARKS[0]}x{MARKS[1]}"'


def test_positions_with_the_same_last_tokens(texts: Texts) -> None:
    like = np.array([30, 200])
    rng = np.random.default_rng(0)
    found = texts.with_last(like, "judging", 1000, rng)
    ids = texts.index.text.token_id
    expected = {
        t for t in range(texts.n_tokens)
        if ids[t] in ids[like] and t not in like.tolist() and texts.halves.of_tokens(np.array([t]))[0] == 1
    }  # fmt: skip
    assert set(found.tolist()) == expected
    two = texts.with_last(like, "naming", 1000, rng, two=True)
    assert all((ids[t - 1], ids[t]) in {(ids[29], ids[30]), (ids[199], ids[200])} for t in two.tolist())


def test_words_are_alike_where_the_same_rare_ones_stand_before(tmp_path: Path) -> None:
    texts = made(tmp_path, [["the", "lion", "x"], ["the", "lion", "y"], ["the", "tax", "y"], ["the", "fee", "y"]])
    alike = texts.alike(np.array([5, 8, 0]), np.array([2]))
    assert alike[0] == pytest.approx(1) and 0 <= alike[1] < 0.5 and alike[2] == 0


def test_one_position_a_document_where_there_are_as_many(texts: Texts) -> None:
    documents = texts.halves.documents_of(np.arange(texts.n_tokens))
    first = np.flatnonzero(documents == documents[0])[:3].tolist()
    other = int(np.flatnonzero(documents != documents[0])[0])
    assert one_a_document(texts, [*first, other], 2) == [first[0], other]
    assert one_a_document(texts, [*first, other], 3) == [first[0], other, first[1]]
    drawn = texts.drawn("naming", 15, np.random.default_rng(1))
    assert len({*texts.halves.documents_of(drawn).tolist()}) == 15
    assert texts.halves.is_in("naming", drawn).all()
