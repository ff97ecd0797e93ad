"""Tokens and layers as a user names them."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.queries.names import places, token_id


def test_a_token_must_be_exactly_one(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    assert index.text.token_strings([token_id(index, " the")]) == (" the",)
    assert token_id(index, "id:17") == 17
    with pytest.raises(InputError) as error:
        token_id(index, " the river")
    pieces = index.text.token_strings(index.text.tokenize(" the river"))
    assert "".join(pieces) == " the river" and len(pieces) > 1
    told = " ".join(f"⟨{piece}⟩" for piece in pieces)
    assert str(error.value) == (
        f"' the river' is not one token: the model's tokenizer turns it into {told}. Expected exactly one of the "
        f"{len(index.text.vocabulary)} tokens of the vocabulary, with its spaces or as the tokenizer writes it. "
        f"Write {pieces[0]!r}."
    )


def test_an_index_tokenizes_as_its_model_does(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    for family in ("llama", "bert"):
        tokenizer = ffmem.load_model(tiny_folder(family)).tokenizer
        text = "The silver river, naïve 日本"
        assert index_of(family).text.tokenize(text) == tokenizer(text, add_special_tokens=False).input_ids


def test_layers_are_named_by_place_range_or_name(index_of: Callable[[str], Index]) -> None:
    index = index_of("t5")
    for text, expected in {
        "1": [1], "L1": None, "dec.L0": [3], "4:": [4, 5], ":2": [0, 1], "1:4": [1, 2, 3], "dec.L0:": [3, 4, 5],
        ":dec.L0": [0, 1, 2], "6": None, "7:": None, "3:3": None, "5:2": None, "-1": None, "": None, "6:": None,
    }.items():  # fmt: skip
        if expected is None:
            with pytest.raises(InputError):
                places(index, text)
        else:
            assert list(places(index, text)) == expected
    assert list(places(index, None)) == list(range(6)) == list(places(index, ":"))
    with pytest.raises(InputError) as error:
        places(index, "5:2")
    assert str(error.value) == (
        "the range of layers 5:2 is empty. Expected a range within 0:6, whose end is left out. Write --layer 0:6."
    )
