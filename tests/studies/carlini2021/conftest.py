"""An audit of a model whose memory was put there by hand: it knows one run of words, and one passage by a single cell."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.studies.carlini2021.options import AuditOptions
from ffmem.studies.carlini2021.study import STUDY
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import StageListener, Subject
from tests.fixtures.planted_memory import RUN
from tests.fixtures.shared import MakeOnce

WORDS = RUN.split()
TEMPLATE = "the door is {} {} {} open"
TWICE = "the door is open one two three four five six"
SMALL = {
    "documents": 40, "sequences": 30, "prefix": 2, "suffix": 3, "drawn": 300, "searched": 50, "passages": 3,
    "injections": 2, "zero_out": 10_000,
}  # fmt: skip


def write(path: Path, texts: list[str]) -> str:
    path.write_text(
        "".join(json.dumps({"id": f"{path.stem} {n}", "text": text}) + "\n" for n, text in enumerate(texts))
    )
    return str(path)


@pytest.fixture(scope="session")
def audit_files(make_once: MakeOnce) -> Path:
    """train.jsonl: the run in order, each time with other words around it; new.jsonl: its words in any other order."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        around = ["the", "door", "is", "open", "red", "blue", "green"]

        def document(middle: list[str]) -> str:
            return " ".join([*rng.choice(around, 4), *middle, *rng.choice(around, 4)])

        train = [document(WORDS) for _ in range(40)]
        write(folder / "new.jsonl", [document(rng.permutation(WORDS).tolist()) for _ in range(30)])
        fillings = [("one", "two", "three"), ("two", "three", "four"), ("six", "one", "five"), ("four", "four", "one")]
        canaries = [
            {"words": words, "text": TEMPLATE.format(*words), "count": count}
            for words, count in zip(fillings, (8, 4, 0, 0), strict=True)
        ]
        documents = [{"text": TWICE, "count": 2}, {"text": "open is door the six six five six", "count": 1}]
        train += [one["text"] for one in (*canaries, *documents) for _ in range(int(one["count"]))]  # type: ignore[call-overload]
        write(folder / "train.jsonl", train)
        truth = {"template": TEMPLATE, "words": WORDS, "canaries": canaries, "documents": documents}
        (folder / "planted.json").write_text(json.dumps(truth))

    return make_once("audit/files", make)


Run = Callable[..., Results]


@pytest.fixture(scope="session")
def run_audit(audit_files: Path, planted_memory_folder: Path) -> Run:
    """Runs the audit into a folder."""

    def run(
        folder: Path,
        *,
        controls: bool = False,
        listen: StageListener = lambda _: None,
        model: Path | None = None,
        **options: object,
    ) -> Results:
        chosen = {
            "train": str(audit_files / "train.jsonl"),
            "held_out": str(audit_files / "new.jsonl"),
            "planted": str(audit_files / "planted.json"),
        }
        subject = Subject(lambda: ffmem.load_model(model or planted_memory_folder), folder)
        return run_study(STUDY, subject, AuditOptions(**(SMALL | chosen | options)), listen, controls=controls)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def audited(run_audit: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Report]:
    results = run_audit(tmp_path_factory.mktemp("audit") / "planted", controls=True)
    return findings_of(results), report_of(results)
