"""What the study begins with, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffmem import InputError, load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.study import Subject
from ffmem.studies.xu2021.context import begin
from ffmem.studies.xu2021.options import TranslationOptions
from tests.studies.xu2021.planted import copier, write


def test_what_it_refuses(options: TranslationOptions, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    subject = Subject(copier, tmp_path / "out")
    with pytest.raises(InputError, match=r"gpt2.* has no cross-attention"):
        begin(replace(subject, model=lambda: load_model(tiny_folder("gpt2"))), options, lambda _: None)
    with pytest.raises(InputError, match="is given the corpus python-docs"):
        begin(replace(subject, corpora=(open_corpus("python-docs"),)), options, lambda _: None)
    with pytest.raises(InputError, match="stands in those of the training pairs 9999 times"):
        begin(subject, replace(options, seen=9999), lambda _: None)
    long = write(tmp_path / "long", [["one"] * 30, ["two"] * 30])
    with pytest.raises(InputError, match="no test pair that was drawn fits the context"):
        begin(subject, replace(options, source=long, target=long), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_pairs_are_drawn_by_the_seed_and_paths_decide_nothing(options: TranslationOptions, tmp_path: Path) -> None:
    subject = Subject(copier, tmp_path / "out")
    first = begin(subject, options, lambda _: None)
    assert (len(first.drawn.train), len(first.drawn.test), first.drawn.n_train) == (200, 25, 220)
    copy = tmp_path / "copy"
    copy.write_bytes(Path(options.source).read_bytes())
    assert begin(subject, replace(options, source=str(copy)), lambda _: None).results.key == first.results.key
    other = begin(replace(subject, folder=tmp_path / "two"), replace(options, seed=1), lambda _: None)
    assert other.results.key != first.results.key and other.drawn.test != first.drawn.test


def test_tokens_are_counted_where_training_has_them_often(options: TranslationOptions, tmp_path: Path) -> None:
    found = begin(Subject(copier, tmp_path / "out"), options, lambda _: None).drawn
    words = " ".join(Path(str(options.train_target)).read_text().split())
    vocabulary = copier().tokenizer.get_vocab()
    assert {word: found.counts[vocabulary[word]] for word in set(words.split())} == {
        word: words.split().count(word) for word in set(words.split())
    }
    least = int(found.counts[found.test_tokens].min())
    assert found.is_counted(least).all() and not found.is_counted(least + 1).all()
    assert np.bincount(found.documents).tolist() == [len(one.target_ids) for one in found.test]


def test_a_control_has_one_seed_and_results_of_its_own(options: TranslationOptions, tmp_path: Path) -> None:
    study = begin(Subject(copier, tmp_path / "out"), options, lambda _: None)
    control = study.untrained(lambda _: None)
    assert control.model.facts.name == "untrained:copy" and control.seeds == (0,)
    assert control.results.folder.is_relative_to(study.results.folder) and control.drawn is study.drawn
