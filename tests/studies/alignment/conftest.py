"""A study of a translation model that copies, and one of a tiny random model with several layers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.studies.alignment.options import AlignmentOptions
from ffmem.studies.alignment.study import STUDY
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import StageListener, Subject

SOURCE = ["the quick brown fox", "rivers and stones !", "lazy dog", "silver engines wait", "the old village"]
TARGET = ["winter letters", "windows wait", "the market in the morning", "the dog", "teachers and musicians"]
GOLD = ["1-1 4p2", "1-1 3-2", "", "1-1 3p2", "1-1 2-2 3-3"]
SYSTEM = ["0-0", "0-0 1-1", "0-0 1-1", "0-1", "0-0"]
Run = Callable[..., Results]


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> AlignmentOptions:
    folder = tmp_path_factory.mktemp("pairs")
    for name, lines in (("source", SOURCE), ("target", TARGET), ("gold", GOLD), ("other", SYSTEM)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    source, target, gold, other = (str(folder / name) for name in ("source", "target", "gold", "other"))
    return AlignmentOptions(source, target, gold, 1, system=(other,), system_base=0)


@pytest.fixture(scope="session")
def run(tiny_folder: Callable[[str], Path]) -> Run:
    """Runs the study of a tiny model in a folder."""

    def run_one(folder: Path, options: AlignmentOptions, listen: StageListener = lambda _: None) -> Results:
        return run_study(
            STUDY, Subject(lambda: load_model(tiny_folder("marian")), folder), options, listen, controls=False
        )

    return run_one


@pytest.fixture(scope="session")
def results(run: Run, options: AlignmentOptions, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("alignment") / "marian", options)


@pytest.fixture(scope="session")
def findings(results: Results) -> Findings:
    return findings_of(results)
