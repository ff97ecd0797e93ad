"""One study of a tiny model, of facts that it says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.analyses.editing.asking import most_probable
from ffmem.analyses.editing.facts import Fact, fact_row
from ffmem.corpus.registry import open_corpus
from ffmem.studies.meng2022.options import FactOptions
from ffmem.studies.meng2022.study import STUDY
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import StageListener, Subject

_WORDS = ("quick", "brown", "lazy", "river", "stone", "window", "winter", "letter", "teacher", "village", "silver")
_N_FACTS = 3
SMALL = {
    "n_facts": 2, "layers": 2, "knowledge_facts": 1, "steps": 3, "contexts": 1, "moment_tokens": 150, "side_tokens": 60,
    "length": 16,
}  # fmt: skip
RunEdits = Callable[..., Results]


@pytest.fixture(scope="session")
def asked_facts(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three facts that the tiny model says, and one that it does not."""
    model = load_model(tiny_folder("gpt2"))
    prompts = {f"the {first} {second} of the": f"{first} {second}" for first in _WORDS for second in _WORDS}
    told = [one.strip() for one in most_probable(model, list(prompts))]
    known = [
        Fact(prompt, "quick", subject, old, (f"a {subject} of",), ("the old village of", "dogs and"))
        for (prompt, subject), old in zip(prompts.items(), told, strict=True)
        if old.isascii() and old.isalnum() and old != "quick"
    ]
    facts = known[:: max(1, len(known) // _N_FACTS)][:_N_FACTS]
    assert len(facts) == _N_FACTS
    facts.append(Fact("the old river of", "quick", "river", "brown", ("a river of",), ("dogs and",)))
    path = tmp_path_factory.mktemp("facts") / "facts.json"
    path.write_text(json.dumps([fact_row(fact, number) for number, fact in enumerate(facts)]))
    return path


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
