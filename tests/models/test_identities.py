"""The measured identities: each error stays at rounding, and shows just the fault that is planted for it."""

import json
import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from ffmem import load_model
from ffmem.models.identities import Identities, largest, measure_identities, relative_error
from ffmem.models.transformer import OnLayer, Transformer
from tests.models.streaming.readings import readings
from tests.models.streaming.smallest import smallest_budget

TOKEN_IDS = torch.arange(5, 25).view(2, 10)
ROUNDING = 1e-5
FAULT = 1e-3


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("llama"))


def add_to_output(module: Any) -> None:
    """As if a module did something that its family knows nothing of."""
    module.register_forward_hook(lambda _module, _inputs, output: output + 1.0)


def faulty(found: Identities) -> list[str]:
    """Names and layers of what is beyond rounding."""
    errors = {f"ff_sum {layer}": error for layer, error in enumerate(found.ff_sum_errors)}
    errors |= {f"residual {layer}": error for layer, error in enumerate(found.residual_errors)}
    errors |= {"hook": found.hook_error, "logit": found.logit_error or 0.0}
    assert all(error < ROUNDING or error > FAULT for error in errors.values())
    return [name for name, error in errors.items() if error > FAULT]


def test_no_fault(model: Transformer) -> None:
    found = measure_identities(model, TOKEN_IDS)
    assert faulty(found) == [] and found.hook_error == 0.0
    assert json.loads(json.dumps(asdict(found)))["logit_error"] == found.logit_error


def test_a_feed_forward_output_that_is_not_the_sum_of_memories(model: Transformer) -> None:
    add_to_output(model.layer(1).output_module)
    assert faulty(measure_identities(model, TOKEN_IDS)) == ["ff_sum 1"]


def test_a_layer_output_that_is_not_the_residual_and_the_feed_forward_output(model: Transformer) -> None:
    add_to_output(model.layer(2).module)
    assert faulty(measure_identities(model, TOKEN_IDS)) == ["residual 2"]


def test_a_head_that_does_more_than_the_projection(model: Transformer) -> None:
    add_to_output(model.module.get_output_embeddings())
    assert faulty(measure_identities(model, TOKEN_IDS)) == ["logit"]


def test_hooks_that_change_the_logits(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of coefficients is true when it is told, and made false behind that."""
    watch = model.watch_coefficients

    def disturbed(on_layer: OnLayer) -> AbstractContextManager[None]:
        return watch(lambda layer, coefficients: (on_layer(layer, coefficients), coefficients.neg_()))

    monkeypatch.setattr(model, "watch_coefficients", disturbed)
    sums = [f"ff_sum {layer}" for layer in range(model.facts.n_layers)]
    assert faulty(measure_identities(model, TOKEN_IDS)) == [*sums, "hook"]


def test_without_a_head_hooks_are_measured_on_the_final_state(tiny_folder: Callable[[str], Path]) -> None:
    found = measure_identities(load_model(tiny_folder("bert_headless")), TOKEN_IDS, torch.ones_like(TOKEN_IDS))
    assert found.logit_error is None and found.hook_error == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
@pytest.mark.parametrize("variant", ["gpt2", "gemma2", "mixtral", "opt_post_ln"])
def test_weights_that_are_streamed_are_read_once_a_pass(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    """A layer's keys, values and norms are compared while it is there."""
    folder = tiny_folder(variant)
    model, found = load_model(folder, model_memory=smallest_budget(folder), proved=False), list[Identities]()
    assert readings(model, lambda: found.append(measure_identities(model, TOKEN_IDS))) == 2
    assert found[0] == measure_identities(load_model(folder, proved=False), TOKEN_IDS)


def test_relative_error_is_of_the_largest() -> None:
    assert relative_error(torch.tensor([1.0, -4.5]), torch.tensor([1.5, -4.0])) == 0.125


def test_relative_error_of_nothing_is_nothing_and_of_something_where_nothing_is_expected_all() -> None:
    """A layer may be silent in a sentence."""
    zero = torch.zeros(3)
    assert relative_error(zero, zero) == 0 and relative_error(torch.tensor([0.0, 1e-30, 0.0]), zero) == float("inf")


@pytest.mark.parametrize("errors", [(0.0, float("nan")), (float("nan"), 0.0), (1.0, float("nan"), float("inf"))])
def test_the_largest_of_errors_is_not_a_number_if_one_is_not(errors: tuple[float, ...]) -> None:
    assert math.isnan(largest(errors))
