"""Texts as model input, against the tokenizer's own call; and rows of a batch, against rows written out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.models.inputs import UNLIMITED, as_row, longest_input, padded_rows, read_text, tokenize

Folder = Callable[[str], Path]
TEXT = "the quick brown fox — naïve café 日本語"


@pytest.mark.parametrize("variant", ["gpt2", "llama", "bert", "t5", "roberta"])
def test_a_text_is_what_the_tokenizers_own_call_gives(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    whole = model.tokenizer(TEXT, return_offsets_mapping=True, return_special_tokens_mask=True)
    read = read_text(model, TEXT)
    assert list(read.token_ids) == whole.input_ids
    special = whole.special_tokens_mask
    expected = [tuple(span) for span, mark in zip(whole.offset_mapping, special, strict=True) if not mark]
    assert list(read.own.spans) == expected
    assert list(read.to_continue) == whole.input_ids[: len(whole.input_ids) - len(read.after)]
    assert as_row(model, read.token_ids).tolist() == [whole.input_ids]


def test_special_tokens_are_as_asked(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gpt2"))
    own = model.tokenizer.backend_tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert list(tokenize(model, TEXT).ids) == list(read_text(model, TEXT, "no").token_ids) == own
    assert list(read_text(model, TEXT, "yes").token_ids) == [model.tokenizer.bos_token_id, *own]


def test_a_decoder_is_given_its_start_token_and_the_target(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("marian"))
    start, own = model.module.config.decoder_start_token_id, model.tokenizer("rivers", add_special_tokens=False)
    assert list(read_text(model, "the fox", target="rivers").target_ids) == [start, *own.input_ids]
    assert read_text(model, "the fox").target_ids == ()
    with pytest.raises(InputError, match="has no decoder that could read it"):
        read_text(load_model(tiny_folder("bert")), "the fox", target="rivers")
    with pytest.raises(InputError, match=f"has {70} tokens.*Expected at most {model.facts.max_length - 1}"):
        read_text(model, "the fox", target="x" * 70)


def test_the_longest_text_that_fits(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))  # with a BOS before each text; a letter x is one token
    assert longest_input(model) == 64 and longest_input(model, 10) == 10
    assert len(read_text(model, "x" * 63).token_ids) == 64
    for wrong, limit in (("x" * 64, {}), ("x" * 10, {"max_length": 10}), ("x" * 60, {"n_new": 4})):
        with pytest.raises(InputError, match=f"the text has {len(wrong)} tokens"):
            read_text(model, wrong, **limit)
    with pytest.raises(InputError, match="has no token"):
        read_text(model, "")
    with pytest.raises(InputError, match="--max-length is 65, but the context of"):
        longest_input(model, 65)
    assert longest_input(load_model(tiny_folder("bloom"))) == UNLIMITED


def test_rows_are_padded_on_the_right() -> None:
    ids, mask = padded_rows([[5, 6, 7], np.array([8], np.uint16)], (1,), (2, 3), 9)
    assert ids.tolist() == [[1, 5, 6, 7, 2, 3], [1, 8, 2, 3, 9, 9]] and ids.dtype == np.int64
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]


@pytest.mark.parametrize("variant", ["gpt2", "wikilm", "bert", "t5", "marian"])
def test_the_mask_is_the_models_own_affair(variant: str, tiny_folder: Folder) -> None:
    """A padded row has the states that it has alone, where a mask is given, to whatever model."""
    model = load_model(tiny_folder(variant))
    short, long = [20, 21, 22, 23], [24, 25, 26, 27, 28, 29, 30]
    ids, mask = (torch.from_numpy(array) for array in padded_rows([short, long], (), (), 40))
    with torch.inference_mode():
        alone = model.forward(torch.tensor([short]))[0]
        padded, bare = model.forward(ids, mask)[0, :4], model.forward(ids)[0, :4]
    assert float((padded - alone).abs().max()) < 1e-5
    assert (float((bare - alone).abs().max()) < 1e-5) == model.facts.causal
