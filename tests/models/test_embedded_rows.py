"""Which tokens have a row in a model's embedding, asked without the model."""

import pickle

import pytest

from ffmem.errors import InputError
from ffmem.models.embedded_rows import EmbeddedRows


def test_the_first_id_without_a_row_is_refused_with_its_token_and_both_sizes() -> None:
    rows = pickle.loads(pickle.dumps(EmbeddedRows("tiny", 1000, 1003, {1000: "<pad>", 1001: "<x>", 1002: "<y>"})))
    rows.check(999)
    with pytest.raises(InputError) as told:
        rows.check(1001)
    assert str(told.value).startswith(
        "the token '<x>' of the text has the id 1,001, and the embedding of tiny 1,000 rows (its tokenizer knows 1,003 tokens)"
    )
