"""A layer's update as a dictionary has it, where what the dictionary leaves over is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.explain import explain
from ffmem.dictionaries import Attachment
from ffmem.models.attached import attach
from tests.families import D_MODEL
from tests.models.dictionaries.making import gemma_scope, mirror, saelens


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_cells_bias_skip_and_rest_add_up_to_what_the_layer_adds(
    family: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = load_model(str(tiny_folder(family)))
    exact = gemma_scope(tmp_path / "exact", **mirror(D_MODEL), threshold=torch.zeros(2 * D_MODEL))
    coarse = gemma_scope(tmp_path / "coarse", **mirror(D_MODEL), threshold=torch.full((2 * D_MODEL,), 0.3))
    stream = {"architecture": "standard", "hook_name": "blocks.1.hook_resid_post"}
    told = [
        f"L1=exact@update:{exact}",
        f"L1=coarse@update:{coarse}",
        f"L1=stream:{saelens(tmp_path / 'stream', stream, **mirror(D_MODEL))}",
    ]
    attach(model, [Attachment.parse(one) for one in told])
    found = explain(model, "the quick fox", limit=5)
    layer = found.layers[1]
    assert [one.dictionary for one in found.dictionaries] == ["L1.exact", "L1.coarse"]  # the stream is no update
    for one in found.dictionaries:
        assert one.update == pytest.approx(layer.cells + layer.bias, abs=1e-4)
        assert one.cells + one.bias + one.skip + one.left_over == pytest.approx(one.update, abs=1e-6)
    first, second = found.dictionaries
    assert first.unexplained < 1e-10 and first.n_active == D_MODEL
    assert 0 < second.unexplained < 1 and second.n_active < D_MODEL
    assert len(first.largest) == 5 and first.largest[0].cell.norm == first.largest[0].cell.coefficient
