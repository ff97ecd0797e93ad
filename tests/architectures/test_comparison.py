"""A model that is misread is called wrong, whatever is misread in it; a mixture whose cells have another order is not."""

from collections.abc import Callable
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem import load_model
from ffmem.models.transformer import Transformer
from tests.architectures import comparison
from tests.architectures.comparison import Outcome, compare
from tests.architectures.making import ARCHITECTURES


def misread(model: Transformer, other: dict[str, Any]) -> Transformer:
    """A loaded model, of which some answers are others."""
    copied = copy(model)
    vars(copied).update(other)
    return copied


def with_coefficients(model: Any, change: Callable[[int, Tensor], Tensor]) -> Callable[[Any], Any]:
    @contextmanager
    def watch(on_layer: Callable[[int, Tensor], None]) -> Any:
        with model.watch_coefficients(lambda layer, m: on_layer(layer, change(layer, m))):
            yield

    return watch


def exchanged(rows: Tensor, axis: int = 0) -> Tensor:
    """The first two cells in each other's place."""
    order = torch.tensor([1, 0, *range(2, rows.shape[axis])])
    return rows.index_select(axis, order)


def exchanged_of(ask: Callable[[int], Tensor], layer: int) -> Tensor:
    return exchanged(ask(layer))


def without_an_expert(layer: int, coefficients: Tensor) -> Tensor:
    return coefficients * (torch.arange(coefficients.shape[-1]) >= 24)


MISREADINGS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "values in another order": ("llama", lambda m: {"values": lambda layer: exchanged(m.values(layer))}),
    "coefficients in another order": (
        "llama",
        lambda m: {"watch_coefficients": with_coefficients(m, lambda _, given: exchanged(given, -1))},
    ),
    "gate and up keys for each other": ("llama", lambda m: {"gate_keys": m.up_keys, "up_keys": m.gate_keys}),
    "one cell too few": (
        "llama",
        lambda m: {
            "values": lambda layer: m.values(layer)[1:],
            "watch_coefficients": with_coefficients(m, lambda _, given: given[..., 1:]),
        },
    ),
    "one layer too few": ("llama", lambda m: {"facts": replace(m.facts, layers=m.facts.layers[1:])}),
    "no value bias": ("opt", lambda m: {"value_bias": lambda layer: torch.zeros(32)}),
    "no key bias": ("opt", lambda m: {"key_bias": lambda layer: None}),
    "the norm behind left out": ("gemma2", lambda m: {"value_rows": m.values}),
    "the soft cap left out": (
        "gemma2",
        lambda m: {"project": lambda state, _: m.module.lm_head(m.module.model.norm(state))},
    ),
    "the norm before the unembedding left out": (
        "llama",
        lambda m: {"project": lambda state, _: m.module.lm_head(state)},
    ),
    "no logits": ("llama", lambda m: {"logits": lambda *_: None}),
    "an expert left out": ("mixtral", lambda m: {"watch_coefficients": with_coefficients(m, without_an_expert)}),
    "an expert's keys in another order": ("mixtral", lambda m: {"up_keys": lambda layer: exchanged(m.up_keys(layer))}),
}


@pytest.fixture
def outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Callable[[Any], dict[str, Any]]], Outcome]:
    def find(name: str, others: Callable[[Any], dict[str, Any]]) -> Outcome:
        def load(folder: Path) -> Transformer:
            model = load_model(folder)
            return misread(model, others(model))

        monkeypatch.setattr(comparison, "load_model", load)
        return compare(ARCHITECTURES[name], tmp_path)

    return find


@pytest.mark.parametrize("misreading", MISREADINGS)
def test_a_misread_model_is_wrong(misreading: str, outcome: Callable[..., Outcome]) -> None:
    found = outcome(*MISREADINGS[misreading])
    assert found.verdict == "WRONG" and "accepted, then" not in found.reason


def test_cells_of_experts_may_have_another_order(outcome: Callable[..., Outcome]) -> None:
    def reordered(model: Any) -> dict[str, Any]:
        names = ("values", "value_rows", "gate_keys", "up_keys")
        rows = {name: partial(exchanged_of, getattr(model, name)) for name in names}
        return {**rows, "watch_coefficients": with_coefficients(model, lambda _, given: exchanged(given, -1))}

    assert outcome("mixtral", reordered).verdict == "right"
    assert outcome("llama", reordered).verdict == "WRONG"
