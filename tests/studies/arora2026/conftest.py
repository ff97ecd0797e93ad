"""One study of a tiny model whose vocabulary has the words, which every exhibit is looked at with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.studies.arora2026.options import CircuitOptions
from ffmem.studies.arora2026.study import STUDY
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Stage, Subject
from tests.analyses.circuit.toy import words_of

SMALL_CIRCUITS = CircuitOptions(task="induction", locate=4, test=5, size=10, most=50, steps=2, single=3)
RunCircuits = Callable[..., Results]


@pytest.fixture(scope="session")
def worded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return words_of(tmp_path_factory.mktemp("worded") / "model")


@pytest.fixture(scope="session")
def run_circuits(worded_folder: Path) -> RunCircuits:
    """Runs the study of the tiny model in a folder."""

    def run(
        folder: Path,
        options: CircuitOptions = SMALL_CIRCUITS,
        listen: Callable[[Stage], None] = lambda _: None,
        *,
        controls: bool = False,
    ) -> Results:
        subject = Subject(lambda: load_model(worded_folder), folder)
        return run_study(STUDY, subject, options, listen, controls=controls)

    return run


@pytest.fixture(scope="session")
def circuit_results(run_circuits: RunCircuits, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_circuits(tmp_path_factory.mktemp("circuits") / "run", controls=True)


@pytest.fixture(scope="session")
def circuit_findings(circuit_results: Results) -> Findings:
    return findings_of(circuit_results)
