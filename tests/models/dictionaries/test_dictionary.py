"""The three activations on products that are known, cell by cell."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from ffmem.models.base import Layout
from ffmem.models.dictionaries.dictionary import Dictionary
from ffmem.models.dictionaries.places import Surroundings
from ffmem.models.feed_forward import DenseLayer
from ffmem.store.facts import Activation, DictionaryFacts

KEYS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0]])
FACTS = DictionaryFacts(0, "", "tc", 4, "standard", "relu", None, "mlp-input", "update", False, "saelens", "")


LAYOUT = Layout("", "", value="")
AROUND = Surroundings(DenseLayer(nn.Linear(4, 2), LAYOUT, 0), LAYOUT, nn.Identity(), None, None)


def made(activation: Activation, k: int | None = None, **more: Any) -> Dictionary:
    fields = {"centre": None, "threshold": None, "skip": None} | more
    return Dictionary(
        replace(FACTS, activation=activation, k=k), AROUND, 0, KEYS, torch.tensor([0.0, 0.5, 0.0, -1.0]), 2 * KEYS,
        torch.tensor([10.0, 20.0]), **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dictionary", "m"),
    [
        (made("relu"), [3.0, 2.5, 0.0, 4.0]),
        (made("relu", centre=torch.tensor([4.0, 1.0])), [0.0, 1.5, 1.0, 0.0]),
        (made("topk", 2), [3.0, 0.0, 0.0, 4.0]),
        (made("topk", 9), [3.0, 2.5, 0.0, 4.0]),
        (made("topk", 3, centre=torch.tensor([9.0, 9.0])), [0.0, 0.0, 6.0, 0.0]),
        (made("jumprelu", threshold=torch.tensor([3.0, 2.4, -5.0, 3.9])), [0.0, 2.5, 0.0, 4.0]),
    ],
)
def test_coefficients(dictionary: Dictionary, m: list[float]) -> None:
    assert dictionary.coefficients(torch.tensor([[3.0, 2.0]])).tolist() == [m]  # products 3, 2.5, -3, 4


def test_reconstruction_has_bias_and_skip() -> None:
    x, skip = torch.tensor([[3.0, 2.0]]), torch.tensor([[0.0, 1.0], [5.0, 0.0]])
    plain, skipping = made("relu"), made("relu", skip=skip)
    m = plain.coefficients(x)
    # 3*(2,0) + 2.5*(0,2) + 4*(2,2) + (10,20), and (2, 15) of the skip matrix
    assert plain.reconstruct(m, x).tolist() == [[24.0, 33.0]]
    assert skipping.reconstruct(m, x).tolist() == [[26.0, 48.0]]
