"""A small study of a tiny model on documents with labels, with its control."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Subject
from ffmem.studies.wiegreffe2019.options import DiagnosticOptions
from ffmem.studies.wiegreffe2019.study import STUDY
from tests.conftest import IN_PROCESS, WORDS
from tests.fixtures.shared import MakeOnce

SMALL = DiagnosticOptions(
    positions=60, layer_positions=12, heads=5, map_texts=12, length=24, adversary_texts=2, adversary_steps=4,
    guide_documents=60, guide_tokens=8, tuning_steps=2,
)  # fmt: skip


def write_labelled(path: Path, n: int = 120) -> None:
    """Documents of two topics, each with words of its own, and two genres that nothing tells apart."""
    rng, lines = random.Random(0), []
    for number in range(n):
        words = WORDS[:35] if number % 2 else WORDS[35:]
        sentences = [" ".join(rng.choices(words, k=rng.randint(9, 20))).capitalize() + "." for _ in range(2)]
        labels = {"topic": f"t{number % 2}", "genre": rng.choice(["story", "letter"])}
        lines.append(json.dumps({"id": str(number), "text": " ".join(sentences), **labels}))
    path.write_text("\n".join(lines))


@pytest.fixture(scope="session")
def labelled_index(tiny_folder: Callable[[str], Path], make_once: MakeOnce) -> Index:
    """Of GPT-2's kind."""

    def build(folder: Path) -> None:
        corpus = folder.with_name("labelled.jsonl")
        write_labelled(corpus)
        options = IndexOptions(top=3, promoted=3, holdout=0.3)
        ffmem.build_index(tiny_folder("gpt2"), corpus, folder, options=options, run=IN_PROCESS)

    return ffmem.open_index(make_once("diagnosed/index", build))


def run(index: Index, options: DiagnosticOptions, *, controls: bool = True) -> Results:
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    return run_study(STUDY, subject, options, controls=controls)


@pytest.fixture(scope="session")
def diagnosed(labelled_index: Index, tiny_folder: Callable[[str], Path], make_once: MakeOnce) -> Results:
    """With a model that has learned nothing in the place of another seed."""
    other = f"untrained:{tiny_folder('gpt2')}"
    options = DiagnosticOptions(**{**SMALL.to_json(), "other": (other,)})
    make_once("diagnosed/study", lambda path: path.write_text(str(run(labelled_index, options).folder)))
    return run(labelled_index, options)
