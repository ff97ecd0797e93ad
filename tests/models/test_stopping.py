"""A pass that is stopped between two layers, and a model that is as before."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem.models.inputs import as_row
from ffmem.models.stopping import checked_at_layers

IDS = (3, 1, 4, 1, 5)


class Enough(Exception):  # noqa: N818 (it is none)
    """Stops a pass."""


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_pass_ends_before_the_layer_at_which_it_is_told_to(stop_at: int, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    ids = as_row(model, IDS)
    before = model.forward(ids)
    asked, seen = [], []

    def check() -> None:
        asked.append(1)
        if len(asked) == stop_at:
            raise Enough

    watching = model.watch_coefficients(lambda place, _: seen.append(place))
    with pytest.raises(Enough), checked_at_layers(model, check), watching:
        model.forward(ids)
    assert seen == list(range(stop_at - 1))
    assert torch.equal(model.forward(ids), before) and len(asked) == stop_at


def test_a_pass_that_is_not_stopped_is_the_same_pass(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("llama")))
    asked: list[int] = []
    with checked_at_layers(model, lambda: asked.append(1)):
        inside = model.forward(as_row(model, IDS))
    assert torch.equal(inside, model.forward(as_row(model, IDS))) and len(asked) == model.facts.n_layers
