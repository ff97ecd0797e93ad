"""What a study of alignments begins with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import InputError, load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.alignment.context import begin
from ffmem.studies.alignment.options import AlignmentOptions
from ffmem.studies.study import Subject


def test_what_it_refuses(options: AlignmentOptions, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    subject = Subject(lambda: load_model(tiny_folder("gpt2")), tmp_path / "out")
    with pytest.raises(InputError, match="has no cross-attention"):
        begin(subject, options, lambda _: None)
    with pytest.raises(InputError, match="is given the corpus python-docs"):
        begin(replace(subject, corpora=(open_corpus("python-docs"),)), options, lambda _: None)
    assert not (tmp_path / "out").exists()
    subject = replace(subject, model=lambda: load_model(tiny_folder("marian")))
    first = begin(subject, options, lambda _: None)
    assert begin(subject, replace(options, pick="L0:AWI:norms"), lambda _: None).results.key == first.results.key
    with pytest.raises(InputError, match=r"holds results of something else: .*corpus.sha256 is"):
        begin(subject, replace(options, system=()), lambda _: None)
