"""What a family states and what is known of a model, where there is something to work out."""

from itertools import product
from types import SimpleNamespace
from typing import get_args

import pytest
from transformers import LlamaConfig

from ffmem.models.base import Batching, Rows, max_positions

EVERY = [
    Batching(causal, rows, fresh) for causal in (True, False) for rows in get_args(Rows) for fresh in (True, False)
]


def allowed(batching: Batching) -> set[tuple[int, ...]]:
    """Which sentences may share a pass, by their lengths; of up to three."""
    batches = [lengths for n in (1, 2, 3) for lengths in product(range(1, 4), repeat=n)]
    if batching.rows == "alone":
        return {one for one in batches if len(one) == 1}
    return {one for one in batches if batching.rows == "padded" or len(set(one)) == 1}


@pytest.mark.parametrize(("one", "other"), list(product(EVERY, EVERY)))
def test_the_stricter_allows_what_both_allow_and_no_more(one: Batching, other: Batching) -> None:
    both = one.stricter(other)
    assert allowed(both) == allowed(one) & allowed(other)
    assert both.causal == (one.causal and other.causal)  # a prefix is one only where each proof saw that
    assert both.fresh == (one.fresh or other.fresh)  # what must be put back once must be put back
    assert both == other.stricter(one) and one.stricter(one) == one


def test_the_longest_input_is_what_the_config_says() -> None:
    assert max_positions(LlamaConfig(max_position_embeddings=77)) == 77
    with pytest.raises(AttributeError):
        max_positions(SimpleNamespace())  # a family without a limit says so itself
