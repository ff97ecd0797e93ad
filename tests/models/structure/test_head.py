"""What stands between the last layer and the logits."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.activations import named_activations
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.head import Head, find_head
from ffmem.models.structure.recording import record
from tests.models.structure.toy_model import IDS, Model

TRIED = Hypotheses(named_activations(SimpleNamespace()), [8.0], 1e-5)


def found(model: Model, logits: Callable[[Tensor], Tensor] | None) -> Head:
    """The head of a model that gives these logits for its final state."""
    if logits is not None:
        model.forward = lambda input_ids: SimpleNamespace(  # type: ignore[assignment, method-assign]
            logits=logits(model.body(input_ids))
        )
    recording = record(model, {"input_ids": IDS})
    last = recording.of(model.body.layers[-1])[-1]
    return find_head(model, recording, last, last.output, IDS.shape[1], TRIED, Tried())


def test_norm_and_soft_cap() -> None:
    head = found(Model(), None)
    assert head.final_norm is not None and head.final_norm.path == "body.norm"
    assert (head.softcap, head.output_scale, head.unembedding, head.transform) == (8.0, 1.0, "", None)


def test_multiplier_and_bias() -> None:
    model = Model()
    assert found(model, lambda z: 0.25 * model.head(z)).output_scale == pytest.approx(0.25)
    model.register_buffer("off", torch.linspace(-1, 1, 30))
    assert found(model, lambda z: model.head(z) + model.off).output_bias == "off"


def test_a_matrix_that_is_not_the_one_that_the_model_names() -> None:
    model = Model()
    model.other = nn.Linear(6, 30, bias=False)
    assert found(model, model.other).unembedding == "other"


def test_a_head_that_is_not_linear_is_kept_step_by_step() -> None:
    model = Model()
    model.dense, model.last = nn.Linear(6, 6), nn.LayerNorm(6)
    head = found(model, lambda z: model.head(model.last(torch.tanh(model.dense(z)))))
    assert head.transform is not None and head.final_norm is None
    states = torch.randn(3, 6)
    expected = model.last(torch.tanh(model.dense(model.body.norm(states))))
    assert torch.allclose(head.transform(model, states), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda z: z[:, :, :2], "it gives 2 scores, for 30 tokens"),
        (lambda z: z.mean(1), "it gives no score for each token at each position"),
    ],
)
def test_what_gives_no_score_for_each_token_is_headless(change: Any, told: str) -> None:
    head = found(Model(), change)
    assert head.headless and head.told == told and head.error == 0


def test_logits_that_are_not_explained_are_an_error() -> None:
    model = Model()
    head = found(model, lambda z: model.head(z) ** 2)
    assert head.headless and head.error == float("inf") and "logits from head" in head.told
