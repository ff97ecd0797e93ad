"""Tops and ranks with ties, and value distributions, against sorting all scores; targets against the text itself."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.values import NONE, first_of_largest, median_length, rank_of, score_values, targets
from ffmem.store.keys import NO_TOKEN


def test_ties_go_to_the_smaller_id() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    top, best = first_of_largest(scores)
    assert top.tolist() == [1, 0] and best.tolist() == [3, 5]
    for row in range(2):
        order = sorted(range(4), key=lambda i: (-float(scores[row, i]), i))
        for token in range(4):
            ranks = rank_of(scores, torch.tensor([token, token]))
            assert int(ranks[row]) == order.index(token)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_targets_and_scores_one_cell_at_a_time(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable
) -> None:
    index, model = index_of(family), load_model(tiny_folder(family))
    wanted = targets(index, 1)
    length = median_length(model)
    found = score_values(model, 1, "folded", wanted, length)
    triggers, text = index.layer(1).trigger_token, index.text
    for cell in range(0, 48, 7):
        for axis in range(index.n_signs):
            following = []
            for token in triggers[cell, axis].tolist():
                if token == NO_TOKEN:
                    continue
                sentence_id, position = text.locate(token)
                ids = text.sentence(sentence_id).token_ids.tolist()
                following.append((ids[position], ids[position + 1] if position + 1 < len(ids) else NONE))
            first = next((pair for pair in following if pair[1] != NONE), (NONE, NONE))
            assert (wanted.firing[cell, axis], wanted.following[cell, axis]) == first
            value = (1, -1)[axis] * model.value_rows(1)[cell]
            scores = model.projection_matrix("folded") @ value
            order = np.lexsort((np.arange(len(scores)), -scores.numpy()))
            assert found.top[cell, axis] == order[0]
            assert found.top_log_probability[cell, axis] == pytest.approx(float(scores.log_softmax(0).max()), abs=1e-4)
            unit = (scores * length / value.norm()).log_softmax(0).max()
            assert found.unit_log_probability[cell, axis] == pytest.approx(float(unit), abs=1e-4)
            if first[1] != NONE:
                assert found.following_rank[cell, axis] == order.tolist().index(first[1])
