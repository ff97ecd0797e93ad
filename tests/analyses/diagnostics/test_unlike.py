"""Maps of one model beside those of another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.diagnostics.maps import LayerMaps, maps_of, row_jsd
from ffmem.analyses.diagnostics.unlike import bin_of, check_alike, head_distances, unlike

IDS = torch.tensor([5, 9, 12, 7, 30])


def test_heads_in_another_order_are_found_again(tiny_folder: Callable[[str], Path]) -> None:
    own = maps_of(load_model(tiny_folder("gpt2")), IDS)
    order = torch.tensor([2, 0, 3, 1])
    mixed = {name: LayerMaps(one.weights[order], one.norms[order]) for name, one in own.items()}
    heads = {name: distances.argmin(1) for name, distances in head_distances(own, mixed).items()}
    assert all(torch.equal(order[chosen], torch.arange(4)) for chosen in heads.values())
    found = unlike(own, mixed, heads)
    assert found.jsd.max() == found.norm_jsd.max() == 0 and len(found.jsd) == 3 * 4 * 4
    same = unlike(own, mixed, {name: torch.arange(4) for name in own})
    first = row_jsd(own["L0"].weights[0, 1], own["L0"].weights[2, 1])
    assert same.jsd[0] == pytest.approx(float(first), abs=1e-6) and same.jsd.mean() > 0


def test_bins_are_those_of_the_paper() -> None:
    assert bin_of(np.array([0.0, 0.2, 0.25, 0.6, 0.75, 1.0])).tolist() == [0, 0, 1, 2, 3, 3]


def test_another_kind_of_model_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model, other = load_model(tiny_folder("gpt2")), load_model(tiny_folder("gpt2"))
    check_alike(model, other)
    other.__dict__["attention_layers"] = other.attention_layers[:2]
    with pytest.raises(InputError, match="other attention sub-layers or heads"):
        check_alike(model, other)
