"""Sentences as whole inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ffmem import load_model
from ffmem.analyses.diagnostics.texts import texts_of
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.updates.positions import Positions


def test_each_column_is_followed_by_its_token(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    whole = [np.array([5, 6, 7, 8, 9, 10]), np.array([11, 12, 13])]
    prefixes = Prefixes(
        sentences=tuple(one[:-1] for one in whole),
        sentence_ids=np.array([3, 4]),
        document=np.array([0, 2]),
        sentence=np.array([0, 0, 0, 1]),
        position=np.array([0, 2, 4, 1]),
    )
    positions = Positions(prefixes, np.array([6, 8, 10, 13]))
    before, _ = model.special_tokens("auto")
    first, other = texts_of(model, positions, "auto", 4 + len(before))
    assert first.ids.tolist() == [*before, 5, 6, 7, 8] and first.at.tolist() == [len(before), len(before) + 2]
    assert first.following.tolist() == [6, 8] and (first.document, other.document) == (0, 2)
    assert [whole[0].tolist()[at - len(before) + 1] for at in first.at.tolist()] == first.following.tolist()
    mixed = first.in_random_order(torch.Generator().manual_seed(1))
    assert mixed.tolist() != first.ids.tolist() and sorted(mixed.tolist()) == sorted(first.ids.tolist())
    assert mixed.tolist()[: len(before)] == list(before)
