"""What becomes of documents, whatever came before them."""

import hashlib

import pytest

from ffmem.corpus.tokens import tokenize
from ffmem.errors import InputError
from ffmem.index.text.prepare import REFUSED, NamedText, Prepared, Preparer, Recipe, joined
from ffmem.options import IndexOptions
from tests.corpus.tiny_tokenizers import byte_level, token_bytes

BPE = byte_level()
BYTES = token_bytes(BPE)


def prepare(*texts: str, max_tokens: int = 100, **options: object) -> Prepared:
    recipe = Recipe(BPE, BYTES, max_tokens, IndexOptions(**{"holdout": 0.0, **options}))  # type: ignore[arg-type]
    return Preparer(recipe).prepare([NamedText(f"d{number}", text) for number, text in enumerate(texts)])


def test_pieces_are_those_of_each_document() -> None:
    found = prepare("The fox. A dog!", " \n", "é\nzzzz", split="lines", max_tokens=40)
    assert [one.n_bytes for one in found.documents] == [15, 2, 7]
    assert [one.n_pieces for one in found.documents] == [[1], [], [1, 1]]
    assert found.texts == ["The fox. A dog!", "é", "zzzz"] and found.start_bytes == [0, 0, 3]
    own = tokenize(BPE, found.texts, BYTES)
    assert found.sizes == [len(one.token_ids) for one in own]
    assert [one.tolist() for one in found.tokens] == [one.tolist() for one in joined(own)]
    assert [number for one in found.documents for number in one.largest] == [int(one.token_ids.max()) for one in own]
    keys = [b"\0" + hashlib.blake2b(text.encode(), digest_size=16).digest() for text in found.texts]
    assert found.keys == keys and found.error is None


def test_a_long_sentence_is_windows() -> None:
    found = prepare("é zzzzzzzz", max_tokens=4, split="lines")
    assert found.documents[0].n_pieces == [len(found.texts)] and max(found.sizes) <= 4 and len(found.texts) > 1
    assert "".join(found.texts) == "é zzzzzzzz" and found.contexts == [0] * len(found.texts)
    assert found.start_bytes == [len("".join(found.texts[:number]).encode()) for number in range(len(found.texts))]


def test_what_is_refused_ends_the_batch_after_what_comes_before_it() -> None:
    found = prepare("z\nz z", "z\nzzzzzzzz\nz", "z", split="lines", max_tokens=5, long_sentences="refuse")
    assert [one.n_pieces for one in found.documents] == [[1, 1], [1, REFUSED]]
    assert found.texts == ["z", "z z", "z"]
    assert [len(one.largest) for one in found.documents] == [2, 2]
    assert isinstance(found.error, InputError) and found.error.got.startswith("the document 'd1' has a sentence of 8")


@pytest.mark.parametrize("holdout", [0.0, 0.999999999])
def test_held_out_documents_have_other_keys(holdout: float) -> None:
    found = prepare("The fox.", holdout=holdout)
    assert found.documents[0].held_out == (holdout > 0) and found.keys[0][:1] == (b"\1" if holdout else b"\0")
