"""Integrated gradients add up to the score less that of the base, and are finite differences of the model's own runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.circuit.gates import gradient_times_activation, integrated, last_logits, score_at
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.test_relevance import TEXT, ids_of

Folder = Callable[[str], Path]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "wikilm"])
def test_what_is_let_through_adds_up_to_the_score(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    ids, vocabulary = ids_of(model, TEXT), model.tokenizer.get_vocab()
    right, wrong = [vocabulary["t"]], [vocabulary["o"]]
    with torch.no_grad():
        own = model.module(ids).logits[0, -1].double()
        assert last_logits(model, ids)[0].tolist() == pytest.approx(own.tolist(), abs=1e-5)
    base = torch.full((1, 1, 1), 0.1)
    found = integrated(model, ids, right, wrong, base=lambda _: base, steps=40)
    with model.change_coefficients(lambda _, m: torch.full_like(m, 0.1)), torch.no_grad():
        without = model.module(ids).logits[0, -1].double()
    expected = float((own[right] - own[wrong]) - (without[right] - without[wrong]))
    total = sum(float(one.sum()) for one in found.cells)
    assert total == pytest.approx(expected, abs=0.02 * abs(expected) + 2e-3)
    assert len(found.heads) == 0
    both = integrated(model, ids, right, wrong, steps=2, with_heads=True)
    assert both.heads[0].shape == (1, ids.shape[1], model.attention_layers[0].n_heads)
    at_0 = score_at(model, ids, right, wrong, base=lambda _: base, share=0.0)
    assert float(at_0) == pytest.approx(float(without[right] - without[wrong]), abs=1e-5)


def scaled(model: Transformer, ids: torch.Tensor, token: int, at: tuple[int, int, int], factor: float) -> float:
    """The logit with one coefficient multiplied."""

    def change(place: int, m: torch.Tensor) -> torch.Tensor | None:
        other = m.clone()
        other[0, at[1], at[2]] *= factor
        return other if place == at[0] else None

    with model.change_coefficients(change), torch.no_grad():
        return float(model.module(ids).logits[0, -1, token].double())


def test_the_gradient_is_a_finite_difference(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    ids, token = ids_of(model, TEXT), model.tokenizer.get_vocab()["t"]
    found = gradient_times_activation(model, ids, [token], [None])
    for layer, position, cell in ((0, 1, 3), (1, ids.shape[1] - 1, 7)):
        scores = [scaled(model, ids, token, (layer, position, cell), factor) for factor in (0.99, 1.01)]
        assert float(found.cells[layer][0, position, cell]) == pytest.approx((scores[1] - scores[0]) / 0.02, abs=2e-4)


def test_what_has_no_gradient_is_told(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("mixtral"))
    ids = ids_of(model, TEXT)
    with pytest.raises(InputError, match="mixture of experts"):
        gradient_times_activation(model, ids, [3], [None])
    with pytest.raises(InputError, match="0 steps"):
        integrated(model, ids, [3], [None], steps=0)
