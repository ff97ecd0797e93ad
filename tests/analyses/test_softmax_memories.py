"""Use of cells, against loops over cells and planted coefficients."""

from collections.abc import Callable
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, InputError, load_model
from ffmem.analyses.softmax_memories import (
    check_comparable,
    effective_number,
    measure_use,
    of_coefficients,
    rows_of_head,
)
from ffmem.analyses.updates.positions import positions_of_text
from ffmem.models.transformer import Transformer

HEADS, N = 4, 48


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("all_attention"))


def coefficients_at(model: Transformer, own: list[int]) -> list[torch.Tensor]:
    """Those of the last token of a text that is read alone, layer by layer."""
    before, _ = model.special_tokens("auto")
    layers: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: layers.append(m[0, -1].double().clone())):
        model.forward(torch.tensor([[*before, *own]]))
    return layers


def test_effective_cells_of_planted_coefficients() -> None:
    m = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.0, 0.5, 0.0, 0.0], [0.3, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = effective_number(m)
    assert found[:3].tolist() == pytest.approx([4.0, 1.0, 2.0]) and bool(found[3].isnan())


def test_active_is_more_than_an_even_share_of_context_and_memories() -> None:
    """Two heads of three memories: with 2 tokens of context 1/5 is even, with 7 it is 1/10."""
    m = torch.tensor([[0.21, 0.19, 0.1, 0.5, 0.3, 0.2]]).repeat(2, 1)
    active, _, mass = of_coefficients(m, 2, torch.tensor([2, 7]))
    assert active.tolist() == pytest.approx([3 / 6, 5 / 6])
    assert mass.tolist() == pytest.approx([0.75, 0.75])
    active, effective, mass = of_coefficients(torch.tensor([[0.0, 2.0, 2.0, 0.0]]), 0, torch.tensor([3]))
    assert active.tolist() == [0.5] and effective.tolist() == pytest.approx([0.5]) and bool(mass.isnan().all())


def test_use_is_what_loops_over_cells_find(index_of: Callable[[str], Index], model: Transformer) -> None:
    text = index_of("all_attention").text
    positions = positions_of_text(text, text.n_sentences, text.n_all_sentences, 40)
    found = measure_use(model, positions, bos="auto")
    n_before = len(model.special_tokens("auto")[0])
    highest = np.zeros((3, HEADS * N))
    for at in range(len(positions)):
        own = positions.prefixes.tokens(at).tolist()
        context = n_before + len(own)
        assert found.context[at] == context
        for place, m in enumerate(coefficients_at(model, own)):
            heads = [m[h * N : (h + 1) * N].tolist() for h in range(HEADS)]
            active = sum(one > 1 / (context + N) for head in heads for one in head)
            shares = [[one / sum(head) for one in head] for head in heads]
            effective = [exp(-sum(one * log(one) for one in head)) for head in shares]
            highest[place] = np.maximum(highest[place], m.numpy() * (context + N))
            assert found.active[at, place] == pytest.approx(active / (HEADS * N), abs=1.5 / (HEADS * N))
            assert found.effective[at, place] == pytest.approx(sum(effective) / HEADS / N, rel=1e-4)
            assert found.mass[at, place] == pytest.approx(sum(map(sum, heads)) / HEADS, rel=1e-4)
    np.testing.assert_allclose(found.highest, highest, rtol=1e-3)


def test_rows_of_a_head_are_its_softmax(model: Transformer) -> None:
    own = [40, 50, 60, 70, 41]
    before, _ = model.special_tokens("auto")
    rows = rows_of_head(model, own, 1, 2, "auto")
    assert [len(row.sources) for row in rows] == [len(before) + at + 1 for at in range(len(own))]
    for at, row in enumerate(rows):
        assert row.sources.sum() + row.memories.sum() == pytest.approx(1, abs=1e-5)
        expected = coefficients_at(model, own[: at + 1])[1][2 * N : 3 * N]
        np.testing.assert_allclose(row.memories, expected.numpy(), rtol=1e-4, atol=1e-7)


def test_cells_whose_coefficients_are_no_shares_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    check_comparable(load_model(tiny_folder("opt")))
    for family in ("gpt2", "llama"):
        with pytest.raises(InputError, match=r"are seldom 0, and may be below it.*or ReLU cells"):
            check_comparable(load_model(tiny_folder(family)))
