"""Triggers token by token, with coefficients that a test makes up."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.queries.shades import shaded_triggers


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_every_token_has_its_coefficient_in_order(index_of: Callable[[str], Index], family: str) -> None:
    index = index_of(family)
    cell = index.cell("L1.7")
    made = {
        one.sentence_id: np.arange(len(index.text.sentence(one.sentence_id).token_starts), dtype=np.float32) + 1
        for one in cell.triggers
    }
    shown = shaded_triggers(index, cell.cell, cell.triggers, made)
    assert [(one.sign, one.rank) for one in shown] == [(one.sign, one.rank) for one in cell.triggers]
    for one, trigger in zip(shown, cell.triggers, strict=True):
        assert trigger.text.startswith("".join(piece.text for piece in one.pieces))
        coefficients = [piece.coefficient for piece in one.pieces if piece.coefficient is not None]
        expected = made[one.sentence_id].tolist()[: trigger.position + 41]  # 40 tokens behind the firing one are shown
        assert coefficients == expected
        firing = [piece for piece in one.pieces if piece.place == "firing"]
        assert [piece.coefficient for piece in firing] == [trigger.position + 1]
        largest = cell.statistics.maximum
        assert all(piece.share == min(1.0, piece.coefficient / largest) for piece in one.pieces if piece.coefficient)
