"""Drift and correlation through a made-up training, against the weights and coefficients of two moments at a time."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
import ffmem.studies.checkpoint
from ffmem import Index, load_model
from ffmem.analyses.updates.universal import coefficients_of
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Subject
from ffmem.studies.training import drift
from ffmem.studies.training.context import begin
from ffmem.studies.training.courses import arrays_of
from ffmem.studies.training.drift import EXPERIMENT, FIRING, DriftResult, FiringResult
from ffmem.studies.training.options import TrainingOptions

Trained = Callable[[str], Sequence[Index]]


def test_drift_is_that_of_the_weights(training_of: Trained, findings: Findings) -> None:
    arrays, found = arrays_of(findings, EXPERIMENT), findings.get(EXPERIMENT, DriftResult)
    weights = [load_model(index.manifest.identity.model.source).module.model.layers for index in training_of("wikilm")]
    for layer in range(3):
        rows = np.flatnonzero(arrays["layer"] == layer)
        first, third, last = (weights[moment][layer].fc2.weight.detach().T for moment in (0, 2, 3))
        cosine = torch.nn.functional.cosine_similarity
        assert arrays["values_to_last"][0][rows] == pytest.approx(1 - cosine(first, last).numpy(), abs=1e-5)
        assert arrays["values_to_previous"][-1][rows] == pytest.approx(1 - cosine(third, last).numpy(), abs=1e-5)
        grown = np.log(last.norm(dim=1).numpy() / first.norm(dim=1).numpy())
        assert arrays["values_growth"][-1][rows] == pytest.approx(grown, abs=1e-5)
        moved = sum(
            float((getattr(weights[3][layer], name).weight - getattr(weights[2][layer], name).weight).abs().sum())
            for name in ("fc1", "fc2")
        )
        size = sum(float(getattr(weights[2][layer], name).weight.abs().sum()) for name in ("fc1", "fc2"))
        assert found.way[layer][-1] == pytest.approx(moved / size, rel=1e-5)
    # the noise of the fixture falls from half of the spread to a twentieth
    to_previous = np.nanmean(arrays["keys_to_previous"], axis=1)
    assert to_previous[0] > to_previous[1] > 10 * to_previous[2]


def test_correlations_are_those_of_all_coefficients(training_of: Trained, findings: Findings) -> None:
    *earlier, last = training_of("wikilm")
    options = TrainingOptions(tuple(str(one.folder) for one in earlier), positions=300)
    subject = Subject(lambda: 1 / 0, last.folder, last)  # type: ignore[arg-type,return-value]
    positions = begin(subject, options, lambda _: None).positions
    first, second = (
        coefficients_of(load_model(index.manifest.identity.model.source), positions, None, bos="auto")
        for index in (earlier[0], last)
    )
    expected = torch.cat([(one * other).sum(1) for one, other in zip(first, second, strict=True)]).numpy()
    found = arrays_of(findings, FIRING)["with_last"][0]
    known = np.isfinite(found)
    assert known.sum() > 20 and found[known] == pytest.approx(expected[known], abs=1e-4)
    result = findings.get(FIRING, FiringResult)
    assert result.n_positions == 300 and np.isnan(arrays_of(findings, FIRING)["with_previous"][0]).all()
    means = [course.values[0].value for course in result.with_last]
    layers = arrays_of(findings, FIRING)["layer"]
    assert means == pytest.approx([float(np.nanmean(found[layers == layer])) for layer in range(3)])


def test_mixed_up_cells_do_not_fire_alike(report: Report) -> None:
    (control,) = report.controls
    own = {number.quantity: number.ours for name, number in report.numbers if name == "Drift"}
    quantity = "correlation of coefficients, last two moments"
    assert own[quantity] > 0.9 and abs(control.numbers["Drift", quantity].ours) < 0.3
    assert (
        control.numbers["Drift", "drift of keys, last two moments"].ours > 10 * own["drift of keys, last two moments"]
    )


def test_a_stopped_run_goes_on(
    training_of: Trained,
    findings: Findings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ffmem.studies.checkpoint, "EVERY_S", 0.0)
    *earlier, last = training_of("wikilm")
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    options = TrainingOptions(tuple(str(one.folder) for one in earlier), positions=300)
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    loaded: list[int] = []

    def begun(stop_at: int | None) -> object:
        study = begin(subject, options, lambda _: None)
        load = study.model

        def model(moment: int) -> object:
            loaded.append(moment)
            if moment == stop_at:
                raise KeyboardInterrupt
            return load(moment)

        study.model = model  # type: ignore[method-assign,assignment]
        return drift._run_firing(study, lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        begun(2)
    loaded.clear()
    again = begun(None)
    assert 0 not in loaded and plain(again) == plain(findings.get(FIRING, FiringResult))
