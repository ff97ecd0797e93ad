"""Other weights with the same predictions: within the limit, farther than chance, and really those of the pass."""

from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.analyses.diagnostics import adversary
from ffmem.analyses.diagnostics.adversary import adversary_of

IDS = torch.tensor([5, 9, 12, 7, 30, 21, 4])


@pytest.mark.parametrize("variant", ["gpt2", "llama"])
def test_it_stays_within_the_limit_and_goes_farther_than_chance(
    variant: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder(variant))
    found = adversary_of(model, IDS, steps=30)
    n_rows = sum(one.n_heads for one in model.attention_layers) * (len(IDS) - 1)  # the first token sees itself alone
    assert len(found.found.jsd) == len(found.largest) == n_rows
    assert 0 < found.found.distance <= 0.01 and found.chance.distance <= 0.01
    assert found.found.jsd.mean() > found.chance.jsd.mean() > 0 and found.found.jsd.max() <= log(2)
    again = adversary_of(model, IDS, steps=30)
    assert np.array_equal(again.found.jsd, found.found.jsd)


def test_only_what_is_named_changes(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    found = adversary_of(model, IDS, steps=5, layers=["L1"])
    assert len(found.found.jsd) == 4 * (len(IDS) - 1)


def test_where_weights_do_nothing_they_go_anywhere(tiny_folder: Callable[[str], Path]) -> None:
    """Values of 0 add nothing whatever the weights: then the search is free, and norms of what is added stay where they are."""
    model = load_model(tiny_folder("llama"))
    for place in range(3):
        model.layer(place).at("self_attn.v_proj").weight.zero_()
    found = adversary_of(model, IDS, steps=40)
    assert found.found.distance < 1e-6 and found.found.jsd.mean() > 0.05
    assert found.chance.jsd.mean() > 0.3  # stretched as far as it was tried
    assert found.found.norm_jsd.max() < 1e-6


def test_pulling_back_ends_at_the_limit(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    with torch.no_grad():
        search = adversary._Search(model, IDS, 0.02, None)
        noise = {name: torch.randn_like(one.weights) for name, one in search.own.items()}
        pulled = search.pulled(noise, 64.0)
        assert 0.01 < float(search.distance(pulled)) <= 0.02
        assert float(search.divergence({name: torch.zeros_like(one) for name, one in noise.items()})) < 1e-6
