"""Every lens against what it is said to be, written out."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem.analyses.lenses.jacobian import AverageJacobian
from ffmem.analyses.lenses.reading import LENSES, Lens, Reader
from ffmem.models.transformer import Transformer


def reader_of(model: Transformer) -> Reader:
    """With a Jacobian of random numbers, so that nothing agrees by chance."""
    torch.manual_seed(1)
    d, n = model.facts.d_model, model.facts.n_layers
    return Reader(model, AverageJacobian(tuple(range(n)), torch.randn(n, d, d), torch.randn(n, d), torch.randn(d), 1))


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_each_lens_is_what_it_says(tiny_folder: Callable[[str], Path], family: str) -> None:
    model = ffmem.load_model(str(tiny_folder(family)))
    reader, h = reader_of(model), torch.randn(3, model.facts.d_model)
    j = reader.jacobian
    assert reader.of_states == LENSES and reader.of_vectors == tuple(one for one in LENSES if one != "about means")
    n = model.facts.n_layers
    with torch.no_grad():
        for number in range(n):
            other = reader.other(number)
            moved = torch.stack([j.matrices[number] @ one for one in h])
            expected: dict[Lens, torch.Tensor] = {
                "raw": model.project(h, "raw"),
                "folded": model.project(h, "folded"),
                "own": model.project(h, "final-norm"),
                "jacobian": model.project(moved, "final-norm"),
                "about means": model.project(j.mean_last + (h - j.means[number]) @ j.matrices[number].T, "final-norm"),
                "another layer": model.project(h @ j.matrices[other].T, "final-norm"),
            }
            for lens, scores in expected.items():
                torch.testing.assert_close(reader.states(lens, number, h, chance()), scores, rtol=1e-3, atol=1e-3)
            vectors = reader.vectors("jacobian", number, h, chance())
            torch.testing.assert_close(vectors, model.project(moved, "folded"), rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(
                reader.vectors("own", number, h, chance()), expected["own"], rtol=1e-3, atol=1e-3
            )


def test_another_layer_is_another_and_not_the_last() -> None:
    for n in range(3, 20):
        jacobian = AverageJacobian(tuple(range(n)), torch.zeros(n, 1, 1), torch.zeros(n, 1), torch.zeros(1), 1)
        others = [Reader(None, jacobian).other(number) for number in range(n)]  # type: ignore[arg-type]
        assert all(one not in (number, n - 1) for number, one in enumerate(others))
        assert len(set(others)) == n - 1  # no layer stands for all
    two = AverageJacobian((0, 1), torch.zeros(2, 1, 1), torch.zeros(2, 1), torch.zeros(1), 1)
    assert [Reader(None, two).other(number) for number in (0, 1)] == [1, 0]  # type: ignore[arg-type]


def test_a_random_direction_is_as_long_as_what_it_stands_for(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    reader, h = reader_of(model), torch.randn(200, model.facts.d_model)
    drawn = reader._transported("random", 0, h, chance())
    moved = reader.jacobian.moved(0, h)
    torch.testing.assert_close(drawn.norm(dim=1), moved.norm(dim=1))
    assert abs(float(torch.cosine_similarity(drawn, moved).mean())) < 0.1


@pytest.mark.parametrize(("family", "missing"), [("opt_post_ln", {"raw", "folded"}), ("wikilm", {"raw", "folded"})])
def test_a_model_has_the_lenses_that_its_head_allows(
    tiny_folder: Callable[[str], Path], family: str, missing: set[Lens]
) -> None:
    reader = reader_of(ffmem.load_model(str(tiny_folder(family))))
    assert set(LENSES) - set(reader.of_states) == missing
    h = torch.randn(2, reader.model.facts.d_model)
    with torch.no_grad():
        for lens in reader.of_vectors:
            assert torch.isfinite(reader.vectors(lens, 0, h, chance())).all()
