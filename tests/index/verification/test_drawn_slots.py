"""Slots of a few sentences, against a look at every slot for each of them."""

from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.index.verification import drawn_slots
from ffmem.index.verification.drawn_slots import DrawnSlots


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize("name", ["sample_token", "trigger_token"])
def test_slots_equal_a_look_at_every_slot(
    name: str, block: int, sampled_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn_slots, "_AT_ONCE", block)
    index, n_found = sampled_of("llama"), 0
    ids = np.array([40, 3, 41, 0, index.manifest.counts.n_sentences - 1, 3])
    slots = DrawnSlots(index, name, ids)
    for layer in range(index.n_layers):
        stored = getattr(index.layer(layer), name).reshape(-1)
        for sentence_id in ids.tolist():
            first, end = index.text.sentence_range(sentence_id)
            for begin in (first, first + 1):
                expected = np.flatnonzero((stored >= begin) & (stored < end))
                assert np.array_equal(slots.within(layer, begin, end), expected)
                n_found += len(expected)
    assert n_found > 50


def test_a_layer_is_looked_at_once_and_of_no_sentences_not_at_all(sampled_of: Callable[[str], Index]) -> None:
    index, looked_at = sampled_of("llama"), []

    class Counted(DrawnSlots):
        def _look(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            looked_at.append(len(stored))
            return super()._look(stored)

    slots = Counted(index, "sample_token", np.array([1, 2]))
    for sentence_id in (1, 2, 1):
        slots.within(0, *index.text.sentence_range(sentence_id))
    assert looked_at == [index.layer(0).sample_token.size]
    none = DrawnSlots(index, "sample_token", np.zeros(0))
    assert not len(none.within(0, 0, 1000))
