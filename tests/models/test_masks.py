"""The question that need not be asked is not asked inside, and asked again afterwards."""

import pytest
import torch
from transformers import masking_utils

from ffmem.models.masks import one_text_a_row


def test_only_inside_nothing_is_asked() -> None:
    ask = masking_utils.find_packed_sequence_indices
    positions = torch.tensor([[0, 1, 2, 0, 1]])  # two texts in one row
    assert ask(positions) is not None
    with one_text_a_row():
        assert masking_utils.find_packed_sequence_indices(positions) is None
    assert masking_utils.find_packed_sequence_indices is ask
    with pytest.raises(ZeroDivisionError), one_text_a_row():
        _ = 1 / 0
    assert masking_utils.find_packed_sequence_indices is ask
