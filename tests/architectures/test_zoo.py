"""Every truth of the zoo holds on the model's own modules: ffmem has no part in it."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.architectures import Architecture
from tests.architectures.making import ARCHITECTURES, SENTENCES, inputs_of, made
from tests.architectures.truth import Captured, Place, capture, logits_of, replaced


@dataclass(frozen=True)
class Run:
    """One pass of a model, with what its truth captured."""

    architecture: Architecture
    model: Any
    places: list[Place]
    inputs: dict[str, Any]
    captured: list[Captured]
    final_state: torch.Tensor | None
    output: Any


@pytest.fixture(params=[name for name, one in ARCHITECTURES.items() if one.text], scope="module")
def run(request: pytest.FixtureRequest) -> Run:
    architecture = ARCHITECTURES[request.param]
    model = made(architecture)
    places, inputs = architecture.truth(model), inputs_of(architecture, model, SENTENCES[0])
    final = None if architecture.final is None else architecture.final(model)
    return Run(architecture, model, places, inputs, *capture(model, places, final, inputs))


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    return float((found - expected).abs().max() / expected.abs().max())


def test_memories_add_up_to_the_output_of_the_models_own_module(run: Run) -> None:
    for layer in run.captured:
        summed = layer.coefficients @ layer.values + layer.bias + (0 if layer.offset is None else layer.offset)
        assert error(summed, layer.output) < 2e-5
        assert layer.coefficients.abs().max() > 1e-3
    if run.final_state is not None:
        assert run.final_state.shape[:2] == logits_of(run.output).shape[:2]


def test_keys_give_the_coefficients_that_the_model_multiplies_its_values_with(run: Run) -> None:
    """Of mixtures, whose coefficients no module reads, they are made of keys to begin with: their sums are held above."""
    for layer in run.captured:
        if layer.recomputed is not None:
            assert error(layer.recomputed, layer.coefficients) < 2e-5


@torch.no_grad()
def test_what_a_sum_of_memories_is_worth_in_the_stream(run: Run) -> None:
    """Put v and -v in the place of the sum: half the difference of the streams is the gain times v."""
    for place, layer in zip(run.places, run.captured, strict=True):
        if not place.linear:
            continue
        vector = torch.randn(layer.values.shape[1], generator=torch.Generator().manual_seed(0))
        up, down = (replaced(run.model, place, sign * vector, run.inputs) for sign in (1, -1))
        half = (up - down) / 2
        expected = (place.gain * vector).expand(half.shape)
        scale = (half * expected).sum() / expected.square().sum() if place.normed else torch.ones(())
        assert error(half, expected * scale) < 1e-4
        assert scale > 0
