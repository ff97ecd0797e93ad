"""What turns a corpus into a model's tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError
from ffmem.index.request import Request, text_source
from ffmem.models.vocabulary import token_bytes
from tests.fixtures.tokenizers import TEXT


def request(base: Index | None = None, **options: object) -> Request:
    return Request("m", None, (), IndexOptions(**options), base)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "options", "n_special"),
    [
        ("gpt2", {}, 0),
        ("gpt2", {"bos": "yes"}, 1),
        ("llama", {}, 1),
        ("llama", {"bos": "no"}, 0),
        ("bert", {}, 2),
        ("bert", {"bos": "no"}, 0),
    ],
)
def test_own_tokens_and_special_ones_fill_the_context_together(
    family: str, options: dict[str, object], n_special: int, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(family))
    context = model.module.config.max_position_embeddings
    assert text_source(model, request(**options)).max_tokens == context - n_special
    assert text_source(model, request(max_length=20, **options)).max_tokens == 20 - n_special
    with pytest.raises(InputError, match=f"--max-length is {context + 1}, but the context of .* is {context} tokens"):
        text_source(model, request(max_length=context + 1, **options))


def test_a_tokenizer_that_cuts_or_pads_is_made_to_do_neither(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    own = model.tokenizer.backend_tokenizer
    whole = own.encode(TEXT, add_special_tokens=False).ids
    own.enable_truncation(3)
    own.enable_padding(length=999)
    source = text_source(model, request())
    assert source.tokenizer.encode(TEXT, add_special_tokens=False).ids == whole
    assert len(own.encode(TEXT).ids) == 999, "the model's own is left as it was"


def test_bytes_of_tokens_are_exact_where_the_vocabulary_is_of_bytes(tiny_folder: Callable[[str], Path]) -> None:
    gpt2, bert = ffmem.load_model(tiny_folder("gpt2")), ffmem.load_model(tiny_folder("bert"))
    source = text_source(gpt2, request())
    assert source.token_bytes is not None
    ids = gpt2.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert b"".join(source.token_bytes[number] for number in ids) == TEXT.encode()
    assert len(source.vocabulary) == len(source.token_bytes) == gpt2.facts.d_vocab
    assert text_source(bert, request()).token_bytes is None, "word pieces drop spaces and capitals"
    assert len(text_source(bert, request()).vocabulary) == len(token_bytes(bert.tokenizer, bert.facts.d_vocab))


def test_a_base_is_continued(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    assert text_source(model, request()).base is None
    base = text_source(model, request(index)).base
    assert base is not None and base.counts.n_tokens == index.manifest.counts.n_tokens
