"""The text that a model is searched on."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from ffmem.errors import ModelError
from ffmem.models.structure.text import text_to_search
from tests.conftest import byte_level_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level_tokenizer(True)


def of_rows(n_rows: int, **config: int) -> Any:
    """A model of so many tokens, as far as the search for a text asks it."""
    table = nn.Embedding(n_rows, 2)
    return SimpleNamespace(get_input_embeddings=lambda: table, config=SimpleNamespace(**config))


def test_it_has_different_tokens_and_none_that_is_special(tokenizer: Any) -> None:
    ids = text_to_search(of_rows(len(tokenizer)), tokenizer)
    assert len(ids) == 20 and len(set(ids)) > 5
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(ids)[:5] == "The old bridge was closed."[:5]


def test_it_fits_the_model(tokenizer: Any) -> None:
    """Which has rows for some tokens only, and a longest input."""
    assert max(text_to_search(of_rows(90), tokenizer)) < 90
    assert len(text_to_search(of_rows(400, max_position_embeddings=12), tokenizer)) == 8
    assert len(text_to_search(of_rows(400, max_position_embeddings=1000), tokenizer)) == 20


def test_a_foreign_tokenizer_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="gives none of our sample texts a token"):
        text_to_search(of_rows(2), tokenizer)
