"""All of it on tiny models of every kind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.analyses.meaning.measure import measure_meaning
from ffmem.analyses.meaning.results import Meaning
from ffmem.index.indexed_model import load_indexed_model


def measured(index: Index, tmp_path: Path) -> Meaning:
    return measure_meaning(
        index, load_indexed_model(index), tmp_path, n_positions=1_500, n_cells=6, n_transplanted=30, seed=0
    )


@pytest.mark.parametrize("family", ["wikilm", "llama"])
def test_random_models_say_nothing_of_meaning(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    found = measured(index_of(family), tmp_path)
    assert not list(tmp_path.iterdir()) and found.causal and not found.has_labels
    assert len(found.layers) == len(found.directions) == index_of(family).n_layers
    for layer in (*found.layers, *found.directions):
        assert layer.measures["token"].value > 0.1 and abs(layer.measures["earlier words"].value) < 0.05
        assert layer.measures["earlier words"].low <= layer.measures["earlier words"].value
        assert layer.measures["kept"].value > 0.1
    assert found.n_transplanted == 30 and found.left_out[0].startswith("documents have no labels")
    assert len(found.sizes) >= 1 and found.sizes[-1].n_positions == found.n_positions
    contrast = found.trends["earlier words"].contrast
    assert found.sizes[-1].contrasts["earlier words"].value == pytest.approx(contrast.value)
    again = measured(index_of(family), tmp_path)
    assert again.layers == found.layers and again.sizes == found.sizes


def test_an_encoder_reads_both_sides(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    found = measured(index_of("bert"), tmp_path)
    assert not found.causal and found.n_transplanted == 0
    assert any("depends on what comes after" in reason for reason in found.left_out)
    assert "kept" not in found.trends and np.isfinite(found.trends["earlier words"].contrast.value)


def test_experts_have_no_random_directions(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    found = measured(index_of("mixtral"), tmp_path)
    assert not found.directions and not found.differences and "token" in found.trends
    assert any("experts" in reason for reason in found.left_out)


def test_too_little_text_is_refused(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of("gpt2")
    with pytest.raises(InputError, match="Expected at least 500 of 10, to tell meaning from words"):
        measure_meaning(index, load_indexed_model(index), tmp_path, n_positions=300)
