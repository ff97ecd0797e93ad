"""What the study refuses, and what its results are of."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.studies.sukhbaatar2019.context import begin
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions
from tests.fixtures.indexes import IN_PROCESS
from tests.studies.sukhbaatar2019.conftest import subject


def test_other_cells_are_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"are relu, no memories of a softmax.*--beside"):
        begin(subject(index_of("wikilm")), SoftmaxOptions(), lambda _: None)


def test_an_index_beside_of_other_tokens_is_refused(index_of: Callable[[str], Index]) -> None:
    beside = str(index_of("bert").folder)
    with pytest.raises(InputError, match=r"holds another text than .*Index both models with the same command"):
        begin(subject(index_of("all_attention")), SoftmaxOptions(beside=beside), lambda _: None)


def test_an_index_beside_of_less_text_is_refused(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    options = replace(index_of("all_attention").manifest.options, max_sentences=20)
    ffmem.build_index(tiny_folder("wikilm"), corpus, tmp_path / "less", options=options, run=IN_PROCESS)
    with pytest.raises(InputError, match="holds another text than"):
        begin(subject(index_of("all_attention")), SoftmaxOptions(beside=str(tmp_path / "less")), lambda _: None)


def test_results_are_of_the_index_beside_wherever_it_lies(
    index_of: Callable[[str], Index], softmax_options: SoftmaxOptions, tmp_path: Path
) -> None:
    own = subject(index_of("all_attention"))
    first = begin(own, softmax_options, lambda _: None)
    assert first.beside is not None
    copied = tmp_path / "copied"
    shutil.copytree(first.beside.folder, copied, ignore=shutil.ignore_patterns("results"))
    assert begin(own, replace(softmax_options, beside=None), lambda _: None).results.key != first.results.key
    assert begin(own, replace(softmax_options, beside=str(copied)), lambda _: None).results.key == first.results.key


def test_another_model_reads_the_same_tokens(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    study = begin(subject(index_of("all_attention")), SoftmaxOptions(), lambda _: None)
    with pytest.raises(InputError, match="the tokenizer of"):
        study.another_model(str(tiny_folder("bert")))
