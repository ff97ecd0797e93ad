"""Which positions are asked about, and what follows them."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.analyses.updates.positions import positions_of_text


@pytest.fixture
def index(index_of: Callable[[str], Index]) -> Index:
    return index_of("gpt2")


def test_each_position_has_its_prefix_and_the_token_behind_it(index: Index) -> None:
    first, end = index.text.n_sentences, index.text.n_all_sentences
    found = positions_of_text(index.text, first, end, 150, seed=3)
    assert len(found) == len(found.prefixes) == len(found.document) == 150
    seen = set()
    for number in range(len(found)):
        sentence_id = int(found.prefixes.sentence_ids[found.prefixes.sentence[number]])
        position = int(found.prefixes.position[number])
        tokens = index.text.sentence(sentence_id)
        assert tokens.held_out and tokens.document_id == found.document[number]
        assert found.prefixes.tokens(number).tolist() == tokens.token_ids[: position + 1].tolist()
        assert found.following[number] == tokens.token_ids[position + 1]
        seen.add((sentence_id, position))
    assert len(seen) == 150


def test_all_there_are_if_more_are_asked_for(index: Index) -> None:
    first, end = index.text.n_sentences, index.text.n_all_sentences
    found = positions_of_text(index.text, first, end, 10**6)
    lengths = [len(index.text.sentence(one).token_ids) for one in range(first, end)]
    assert len(found) == sum(max(0, n - 1) for n in lengths)
    assert found.some(10**6, seed=0) is found
    few = found.some(20, seed=1)
    pairs = list(zip(few.document.tolist(), few.following.tolist(), strict=True))
    of_all = list(zip(found.document.tolist(), found.following.tolist(), strict=True))
    assert len(pairs) == 20 and set(pairs) <= set(of_all)
    assert not np.array_equal(few.following, found.some(20, seed=2).following)


def test_nothing_held_out_is_refused(index: Index) -> None:
    with pytest.raises(InputError, match="no held-out sentence has two tokens"):
        positions_of_text(index.text, 5, 5, 10)
