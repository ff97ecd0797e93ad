"""What weights say of cells, against numpy's own; and a direction that no token hears."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.analyses.updates.readout import Readout
from ffmem.analyses.updates.weights import Geometry, ValueShapes, entropy_cells, matched
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]


def deaf_to(model: Transformer, n: torch.Tensor) -> None:
    """Take a direction out of everything the vocabulary hears, gain included: U' n = 0."""
    gain = model.unembedding.gain(model.unembedding.final_norm)
    heard = n * gain
    with torch.no_grad():
        weight = model.module.get_output_embeddings().weight
        weight.sub_(torch.outer(weight @ heard, heard) / (heard @ heard))


@pytest.mark.parametrize("variant", ["llama", "gpt2"])
def test_a_direction_in_the_null_space_scales_all_logits(variant: str, tiny_folder: Folder) -> None:
    """Adding a n to a state multiplies its logits by the ratio of what the norm divides by; the top token stays."""
    model = load_model(tiny_folder(variant))
    d = model.facts.d_model
    n = torch.randn(d, generator=torch.Generator().manual_seed(2))
    centres = variant == "gpt2"
    n = n - n.mean() if centres else n
    deaf_to(model, n)
    norm = model.unembedding.final_norm
    assert norm is not None
    if centres:
        torch.nn.init.zeros_(norm.bias)
    h = torch.randn(4, d, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        geometry = Geometry(Readout(model))
        assert geometry.null_shares(torch.stack([n, 7 * n + 3 * centres])) == pytest.approx(1, abs=1e-5)
        head = model.module.get_output_embeddings()
        before, after = head(norm(h)), head(norm(h + 5 * n))

    def sigma(z: torch.Tensor) -> torch.Tensor:
        z = z - z.mean(1, keepdim=True) if centres else z
        return (z.square().mean(1) + (norm.eps if centres else norm.variance_epsilon)).sqrt()  # type: ignore[union-attr]

    ratio = sigma(h) / sigma(h + 5 * n)
    assert torch.allclose(after, before * ratio[:, None], atol=1e-4) and float(ratio.max()) < 0.7
    assert torch.equal(after.argmax(1), before.argmax(1))


def test_what_a_norm_takes_away_is_no_null_direction(tiny_folder: Folder) -> None:
    """Every U' after a LayerNorm has the all-ones vector as a null direction; it changes nothing, so it is left out."""
    model = load_model(tiny_folder("gpt2"))
    with torch.inference_mode():
        geometry = Geometry(Readout(model))
        ones = torch.ones(model.facts.d_model, dtype=torch.float64)
        assert float((geometry.null_space.T @ ones).abs().max()) < 1e-9
        value = torch.randn(1, model.facts.d_model, generator=torch.Generator().manual_seed(1))
        shares = geometry.null_shares(torch.cat([value, value + 100]))
        assert shares[0] == pytest.approx(shares[1], abs=1e-4)
        matrix = model.projection_matrix("folded")
        singular = torch.linalg.svd((matrix - matrix.mean(0)).double()).Vh[-2]  # the last is the all-ones vector
        assert abs(float(geometry.null_space[:, 0] @ singular)) == pytest.approx(1, abs=1e-6)


def test_moments_are_those_of_the_cosines(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    with torch.inference_mode():
        geometry, rows = Geometry(Readout(model)), model.value_rows(2)[:20]
        rows = torch.cat([rows, torch.zeros(1, model.facts.d_model)])
        unembedding = model.projection_matrix("folded").double().numpy()
        cosines = [
            [float(u @ v / np.linalg.norm(u) / np.linalg.norm(v)) for u in unembedding]
            for v in rows[:20].double().numpy()
        ]
        shapes, variances = geometry.shapes(rows), geometry.logit_variances(rows)
    for number, some in enumerate(cosines):
        away = np.array(some) - np.mean(some)
        assert variances[number] == pytest.approx(np.mean(away**2), rel=1e-4)
        assert shapes.skew[number] == pytest.approx(np.mean(away**3) / np.mean(away**2) ** 1.5, rel=1e-3, abs=1e-4)
        assert shapes.kurtosis[number] == pytest.approx(np.mean(away**4) / np.mean(away**2) ** 2, rel=1e-3)
    assert (variances[20], shapes.kurtosis[20], shapes.skew[20]) == (0, 0, 0)  # a value of zeros


def test_peaked_values_are_for_or_against() -> None:
    shapes = ValueShapes(np.array([11.0, 11, 9, 40]), np.array([1.0, -1, 5, -0.1]))
    assert shapes.predict.tolist() == [True, False, False, False]
    assert shapes.suppress.tolist() == [False, True, False, True]


def test_the_direction_of_given_scores_is_that_of_least_squares(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal(model.facts.d_vocab)
    with torch.inference_mode():
        geometry, rows = Geometry(Readout(model)), model.value_rows(0)[:9]
        matrix = model.projection_matrix("folded").double().numpy()
        centred = matrix - matrix.mean(0)
        expected = np.linalg.lstsq(centred, wanted - wanted.mean(), rcond=None)[0]
        found = geometry.direction_of(torch.from_numpy(wanted)).numpy()
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)
        correlations = geometry.correlations(rows, torch.from_numpy(wanted))
    for number, row in enumerate(rows.double().numpy()):
        assert correlations[number] == pytest.approx(np.corrcoef(matrix @ row, wanted)[0, 1], abs=1e-5)


def test_entropy_cells_are_long_null_and_alike() -> None:
    lengths = np.ones(40)
    null, variances = np.full(40, 0.1), np.full(40, 0.5)
    lengths[[3, 5, 7, 9]] = 10, 20, 30, 40
    null[[5, 7, 9, 20]] = 0.9, 0.8, 0.7, 1.0
    variances[[5, 9, 20]] = 0.1  # 7 scores tokens as differently as others, 20 is short, 3 is in no null space
    assert entropy_cells(lengths, null, variances, 5).tolist() == [9, 5]
    assert entropy_cells(lengths, null, variances, 1).tolist() == [9]
    assert entropy_cells(np.ones(40), np.full(40, 0.1), variances, 5).tolist() == []


def test_matches_are_nearest_in_length_and_never_twice() -> None:
    sizes = np.array([1.0, 1.1, 1.2, 5.0, 0.0, 1.05])
    assert matched(sizes, np.array([0, 1]), np.array([2])).tolist() == [5, 3]
    assert matched(np.ones(3), np.array([0, 1]), np.array([2])).tolist() == []
