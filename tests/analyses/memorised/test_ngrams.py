"""Runs of tokens: leaving a document out is the same as never having read it."""

import numpy as np
import pytest

from ffmem.analyses.memorised.ngrams import NGrams

TEXTS = [np.array(one, dtype=np.int64) for one in ([0, 1, 2, 1, 0], [1, 1, 2], [3, 0, 1, 2, 2, 1])]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_document_that_is_left_out_was_never_there(order: int) -> None:
    whole = NGrams(TEXTS, 5, order)
    for number, text in enumerate(TEXTS):
        rest = NGrams([one for other, one in enumerate(TEXTS) if other != number], 5, order)
        np.testing.assert_allclose(whole.losses(text, leave_out=True), rest.losses(text), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_add_up_to_one(order: int) -> None:
    model = NGrams(TEXTS, 5, order)
    for context in ([], [1], [4], [0, 1], [2, 2]):
        total = sum(np.exp(-model.losses(np.array([*context, word]))[-1]) for word in range(5))
        assert total == pytest.approx(1)


def test_numbers_by_hand() -> None:
    model = NGrams(TEXTS, 5, 2)
    single = (6 + 1) / (14 + 5)
    # 1 stands six times, five times with a token behind it: 2 1 2 2 (of 1: 0 2 1 2 2), never the end
    assert np.exp(-model.losses(np.array([1]))[0]) == pytest.approx(single)
    assert np.exp(-model.losses(np.array([0, 1]))[1]) == pytest.approx((2 + 5 * single) / (2 + 5))
