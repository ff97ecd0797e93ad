"""Which sentences a model is proved on: some lengths from the shortest to the longest that is not too much."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from ffmem.models.sentences_to_try import Sentence, inputs_to_try
from ffmem.models.transformer import Transformer

Loaded = Callable[[str], Transformer]


@pytest.fixture
def model(loaded: Loaded) -> Iterator[Transformer]:
    """Of 64 positions, with a token for each byte and none before a text."""
    model = loaded("gpt2")
    yield model
    model.n_embedded = None
    model.module._parameters.pop("more", None)


def of_lengths(*lengths: int) -> list[Sentence]:
    """A letter that no merge of the vocabulary has, so that each is a token."""
    return [Sentence("X" * n) for n in lengths]


def chosen(model: Transformer, *lengths: int) -> list[int]:
    return [len(one.own) for one in inputs_to_try(model, of_lengths(*lengths), "auto")]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((5,), [5]),
        ((9, 2, 5), [2, 5, 9]),
        ((9, 2, 5, 2, 9), [2, 5, 9]),  # each length once
        (tuple(range(1, 11)), [1, 4, 7, 10]),  # four of them, the first and the last among them
        ((1, 2, 3, 60, 64, 65, 90), [1, 2, 60, 64]),  # what is over 64 positions cannot be run
        ((70, 80), []),
        ((), []),
    ],
)
def test_four_lengths_at_most_the_shortest_and_the_longest_among_them(
    lengths: tuple[int, ...], expected: list[int], model: Transformer
) -> None:
    assert chosen(model, *lengths) == expected


def test_a_model_whose_passes_cost_is_tried_on_short_ones(model: Transformer) -> None:
    model.module.register_parameter("more", nn.Parameter(torch.empty(10**9, device="meta")))
    assert chosen(model, 3, 19, 20, 21, 40) == [3, 19, 20]
    assert chosen(model, 40, 30) == [30]  # if all are longer, the shortest of them
    del model.module._parameters["more"]
    model.module.register_parameter("more", nn.Parameter(torch.empty(100 * 10**6, device="meta")))
    assert chosen(model, 3, 26, 27, 28) == [
        3,
        26,
    ]  # 20 tokens of 135 million parameters are 27 of 100 million, or a bit less


def test_special_tokens_count_where_the_context_ends(loaded: Loaded) -> None:
    model = loaded("llama")
    assert chosen(model, 10, 63, 64) == [10, 63]
    without = inputs_to_try(model, of_lengths(10, 63, 64), "no")
    assert [len(one.token_ids) for one in without] == [10, 63, 64]


def test_stored_tokens_are_taken_as_they_are_and_empty_texts_left_out(model: Transformer) -> None:
    piece = Sentence("the lazy dog", (5, 6, 7), is_piece=True)
    found = inputs_to_try(model, [Sentence(""), piece], "auto")
    assert [one.own for one in found] == [(5, 6, 7)]


def test_a_text_with_a_token_that_has_no_row_is_left_out(model: Transformer) -> None:
    (letter,) = model.tokenizer("X").input_ids
    model.n_embedded = letter
    assert chosen(model, 3, 5) == []
    model.n_embedded = letter + 1
    assert chosen(model, 3, 5) == [3, 5]
