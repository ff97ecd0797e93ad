"""One study of a tiny model, which every exhibit is looked at with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.corpus.registry import open_corpus
from ffmem.studies.kobayashi2020.study import STUDY
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import StageListener, Subject

SMALL = AttentionOptions(texts=12, length=24, count_tokens=3000)
Run = Callable[..., Results]


@pytest.fixture(scope="session")
def run(tiny_folder: Callable[[str], Path], corpus: Path) -> Run:
    """Runs the study of a tiny model in a folder."""

    def run_one(
        folder: Path,
        variant: str = "bert",
        options: AttentionOptions = SMALL,
        listen: StageListener = lambda _: None,
    ) -> Results:
        subject = Subject(lambda: load_model(tiny_folder(variant)), folder, corpora=(open_corpus(str(corpus)),))
        return run_study(STUDY, subject, options, listen, controls=False)

    return run_one


@pytest.fixture(scope="session")
def results(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("attention") / "bert")


@pytest.fixture(scope="session")
def findings(results: Results) -> Findings:
    return findings_of(results)
