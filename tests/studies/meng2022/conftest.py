"""One study of a tiny model, of facts that it says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.meng2022.options import FactOptions
from ffmem.studies.meng2022.study import STUDY
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import StageListener, Subject

SMALL = {
    "n_facts": 2, "layers": 2, "knowledge_facts": 1, "steps": 3, "contexts": 1, "moment_tokens": 150, "side_tokens": 60,
    "length": 16,
}  # fmt: skip
RunEdits = Callable[..., Results]


@pytest.fixture(scope="session")
def run_edits(tiny_folder: Callable[[str], Path], corpus: Path, asked_facts: Path) -> RunEdits:
    """Runs the study of a tiny model in a folder."""

    def run(folder: Path, *, listen: StageListener = lambda _: None, controls: bool = False, **more: object) -> Results:
        options = FactOptions(**(SMALL | {"facts": str(asked_facts)} | more))  # type: ignore[arg-type]
        subject = Subject(lambda: load_model(tiny_folder("gpt2")), folder, corpora=(open_corpus(str(corpus)),))
        return run_study(STUDY, subject, options, listen, controls=controls)

    return run


@pytest.fixture(scope="session")
def edit_results(run_edits: RunEdits, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_edits(tmp_path_factory.mktemp("edits") / "gpt2", controls=True)


@pytest.fixture(scope="session")
def edit_findings(edit_results: Results) -> Findings:
    return findings_of(edit_results)
