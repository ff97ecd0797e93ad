"""The Jacobian of the study: what it says of itself, and that a run which was stopped goes on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.studies.gurnee2026 import fitted
from ffmem.studies.gurnee2026.context import Gurnee2026
from ffmem.studies.gurnee2026.options import LensOptions
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from tests.studies.gurnee2026.conftest import subject_of


def test_the_last_layers_is_the_identity(read: Results) -> None:
    found, arrays = fitted.jacobian(findings_of(read)), read.load_arrays("jacobian")
    assert found.layers[-1].away == 0 and found.layers[-1].size == pytest.approx(1)
    assert found.n_positions == int(arrays["n_positions"][0])
    eye = np.eye(arrays["matrices"].shape[1])
    expected = np.linalg.norm(np.asarray(arrays["matrices"])[0] - eye) / np.linalg.norm(eye)
    assert found.layers[0].away == pytest.approx(expected, rel=1e-4)


def test_a_run_that_was_stopped_goes_on_to_the_same(
    index_of: Callable[[str], Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(index_of("gpt2").folder, tmp_path / "gpt2", ignore=shutil.ignore_patterns("results"))
    options = LensOptions(positions=250, fit_positions=90, layers=2)
    monkeypatch.setattr(fitted, "_SENTENCES", 1)
    monkeypatch.setattr("ffmem.studies.checkpoint.EVERY_S", 0.0)

    def made(stop_after: int | None) -> dict[str, np.ndarray]:
        study, n_told = Gurnee2026(subject_of(ffmem.open_index(folder)), options), 0

        def listen(_: object) -> None:
            nonlocal n_told
            n_told += 1
            if n_told == stop_after:
                raise KeyboardInterrupt

        fitted.CHAPTER.experiments(study)[0].run(study, listen)  # type: ignore[index]
        return {name: np.array(one) for name, one in study.results.load_arrays("jacobian").items()}

    with pytest.raises(KeyboardInterrupt):
        made(2)
    resumed = made(None)
    for part in Gurnee2026(subject_of(ffmem.open_index(folder)), options).results.folder.glob("*.part.safetensors"):
        part.unlink()
    whole = made(None)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)
