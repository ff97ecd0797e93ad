"""Passages put into some cells of the made model, and looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem.studies.carlini2021.injection import InjectionResult
from ffmem.studies.runner import findings_of
from tests.studies.carlini2021.conftest import Run


def test_a_model_with_experts_is_told_to_have_no_injection(
    run_audit: Run, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    results = run_audit(
        tmp_path / "audit", model=tiny_folder("mixtral"), passages=0, planted=None, documents=10, sequences=5
    )
    assert "injection" not in results and "membership" in results


def test_every_ranking_is_asked_for_the_cells(
    run_audit: Run, tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.studies.carlini2021.injection._TUNED", 0.4)
    for module in ("ffmem.studies.carlini2021.injection", "ffmem.analyses.memorised.injection"):
        monkeypatch.setattr(f"{module}.ENOUGH", 4.0)  # a tiny model takes long to learn more
    results = run_audit(
        tmp_path / "audit", model=tiny_folder("gpt2"), passages=0, planted=None, documents=10, sequences=5, injections=1
    )
    found = findings_of(results).get("injection", InjectionResult)
    assert (found.n_learned, found.n_tuned, found.n_cells) == (1, round(0.4 * found.n_cells), found.n_cells)
    recalls = {(one.method, one.looked_at): one.recall.value for one in found.recalls}
    # of 40 % of the cells, 5 % of all can hold an eighth at most; nearly all that integrated gradients name are of them
    assert 0.09 <= recalls["integrated gradients", 0.05] <= 0.126
    assert len(recalls) == 18
