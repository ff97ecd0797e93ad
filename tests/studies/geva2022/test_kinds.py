"""Values that single tokens out, by layer."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import ffmem
from ffmem import IndexOptions, RunOptions, load_model
from ffmem.studies.geva2022.kinds import EXPERIMENT, ShapesResult
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of
from tests.studies.geva2022.conftest import run


def test_shares_are_counts_of_cells(gated: tuple[Findings, Report]) -> None:
    findings, report = gated
    result = findings.get(EXPERIMENT, ShapesResult)
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    assert result.n_cells == len(arrays["layer"]) == 3 * 40 and result.gated
    for place, layer in enumerate(result.layers):
        own = arrays["layer"] == place
        assert layer.predict.value == arrays["predict"][own].mean()
        assert layer.either.value == layer.predict.value + layer.suppress.value
    assert {row["series"] for row in report.charts["value-shapes"].rows} == {"for or against a few tokens"}


def test_planted_values_are_found_in_their_layer(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    """Values of the last layer that single a token out of an unembedding of one row for it alone: for it, and against it."""
    model = load_model(tiny_folder("gpt2"))
    with torch.no_grad():
        axis = torch.zeros(model.facts.d_model)
        axis[0], axis[1] = 1, -1
        rows = model.module.get_output_embeddings().weight
        rows.sub_(torch.outer(rows @ axis, axis) / (axis @ axis))
        rows[7] = 50 * axis
        model.unembedding.final_norm.weight.fill_(1)  # type: ignore[union-attr]
        model.values(2)[:10] = axis
        model.values(2)[10:16] = -axis
    shutil.copytree(tiny_folder("gpt2"), tmp_path / "model")
    model.module.save_pretrained(tmp_path / "model")
    options = IndexOptions(top=3, promoted=3, holdout=0.2, max_tokens=2000)
    index = ffmem.build_index(
        tmp_path / "model", corpus, tmp_path / "index", options=options, run=RunOptions(workers=0)
    )
    results = run(index)
    layers = findings_of(results).get(EXPERIMENT, ShapesResult).layers
    assert layers[-1].predict.n == 40  # of 48, drawn
    assert 2 <= layers[-1].predict.value * 40 <= 10 and 0 < layers[-1].suppress.value * 40 <= 6
    assert np.mean([layer.either.value for layer in layers[:-1]]) < layers[-1].either.value
    (claim,) = (one for name, one in report_of(results).claims if name == "Prediction and suppression")
    assert claim.test.effect > 0
