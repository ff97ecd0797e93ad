"""What is studied: facts that the model says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import InputError, load_model
from ffmem.analyses.editing.asking import first_answers
from ffmem.corpus.registry import open_corpus
from ffmem.studies.meng2022.context import begin, untrained
from ffmem.studies.meng2022.options import FactOptions
from ffmem.studies.study import Subject
from tests.studies.meng2022.conftest import SMALL


def subject_of(folder: Path, model: Path, *corpora: Path) -> Subject:
    return Subject(lambda: load_model(model), folder, corpora=tuple(open_corpus(str(one)) for one in corpora))


def test_only_facts_that_are_the_first_choice_are_changed_and_a_control_says_its_own(
    tiny_folder: Callable[[str], Path], corpus: Path, asked_facts: Path, tmp_path: Path
) -> None:
    options = FactOptions(**(SMALL | {"facts": str(asked_facts)}))  # type: ignore[arg-type]
    shared = begin(subject_of(tmp_path, tiny_folder("gpt2"), corpus), options, lambda _: None)
    known = {fact.prompt for fact, told in zip(shared.facts, shared.answers, strict=True) if told.strip() == fact.old}
    assert {fact.prompt for fact in shared.known} == known
    assert len(known) == 3 < len(shared.facts)
    assert len(shared.edited) == 2
    control = untrained(shared, None)
    assert control.model.weights_hash() != shared.model.weights_hash()
    assert {fact.old for fact in control.known} == set(
        first_answers(control.model, [one.prompt for one in control.known])
    )
    assert control.results.folder.parent == shared.results.folder / "controls" / "untrained"


def test_facts_that_a_model_does_not_know_are_refused(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    """The set that comes with ffmem, asked of random weights."""
    shared = begin(subject_of(tmp_path, tiny_folder("gpt2"), corpus), FactOptions(), lambda _: None)
    assert len(shared.facts) == 65
    with pytest.raises(InputError, match=r"of 65 facts, gpt2 gives the old answer of [01] as its first choice"):
        _ = shared.edited


def test_two_corpora_and_a_model_without_answers_are_refused(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="2 corpora are given to the study meng2022"):
        begin(subject_of(tmp_path, tiny_folder("gpt2"), corpus, corpus), FactOptions(), lambda _: None)
    with pytest.raises(InputError, match="is an encoder-decoder"):
        begin(subject_of(tmp_path, tiny_folder("t5"), corpus), FactOptions(), lambda _: None)
