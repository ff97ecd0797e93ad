"""Named cells and what they mediate, from the arrays; a model without a norm is the negative control."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import IndexOptions, RunOptions, load_model
from ffmem.analyses.updates.at_mean import MEASURES, WAYS
from ffmem.studies.geva2022.confidence import EXPERIMENT, GROUPS, confidence, mediated
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of
from tests.analyses.updates.test_at_mean import planted
from tests.studies.geva2022.conftest import run


def test_mediated_shares_are_ratios_of_sums(gated: tuple[Findings, Report]) -> None:
    findings, _ = gated
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    cells = {one.cell: one for one in confidence(findings).cells if one.group}
    assert {one.group for one in cells.values()} == set(GROUPS)
    for change, row, group in zip(arrays["change"], arrays["cell"], arrays["group"], strict=True):
        one = cells[f"{confidence(findings).layer}.{row}"]
        entropy = GROUPS[group].endswith("entropy")
        measure, way = ("entropy", "direct") if entropy else ("divergence", "kept")
        number = MEASURES.index(measure)  # type: ignore[arg-type]
        total, left = change[0, number].sum(), change[WAYS.index(way), number].sum()  # type: ignore[arg-type]
        assert one.group == GROUPS[group] and one.mediated.value == pytest.approx(1 - left / total, abs=1e-4)
        assert one.entropy == pytest.approx(change[0, 0].mean(), rel=1e-4)
    pair = mediated(findings, "entropy")
    assert pair is not None
    shares = [one.mediated.value for one in cells.values() if one.group == "entropy"]
    assert pair.own.value == pytest.approx(np.mean(shares)) and pair.n == len(shares)


def test_without_a_norm_it_is_nothing_exactly_and_nothing_is_claimed(without_norm: tuple[Findings, Report]) -> None:
    findings, report = without_norm
    assert not confidence(findings).has_norm
    (section,) = (one for one in report.sections if one.name == "Entropy cells")
    told = {one.quantity: one for one in section.numbers}
    for name in (
        "effect on the entropy that the norm mediates, entropy cells",
        "the same of cells with values as long",
    ):
        if name in told:
            assert (told[name].ours, told[name].low, told[name].high) == (0, 0, 0)
    assert not section.claims
    assert "negative control" in section.reading or "No cell of" in section.reading


def test_a_planted_entropy_cell_is_found_by_the_study(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_folder("llama"))
    cell = planted(model)
    shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    with torch.no_grad():
        model.module.save_pretrained(tmp_path / "model")
    options = IndexOptions(top=3, promoted=3, holdout=0.2, max_tokens=3000)
    index = ffmem.build_index(
        tmp_path / "model", corpus, tmp_path / "index", options=options, run=RunOptions(workers=0)
    )
    results = run(index)
    named = [one for one in confidence(findings_of(results)).cells if one.group == "entropy"]
    assert named[0].cell == f"L2.{cell}" and named[0].null_share == pytest.approx(1, abs=1e-4)
    assert named[0].mediated.value == pytest.approx(1, abs=1e-3) and named[0].mediated.low > 0.99
    assert named[0].entropy > 0.01
    report = report_of(results)
    rows = {row["cell"]: row for row in report.tables["entropy-cells"].rows}
    assert rows[f"L2.{cell}"]["mediated %"] == pytest.approx(100, abs=0.1)
    point = next(row for row in report.charts["entropy-cells"].rows if row["name"] == f"L2.{cell}")
    assert point["series"] == "entropy"
