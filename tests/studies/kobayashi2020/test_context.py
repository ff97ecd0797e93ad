"""What a study begins with: a corpus, a model, a folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ffmem
from ffmem import IndexOptions, InputError, load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.kobayashi2020.context import begin
from ffmem.studies.results import FOLDER
from ffmem.studies.study import Subject
from tests.conftest import IN_PROCESS
from tests.studies.kobayashi2020.conftest import SMALL


def test_results_lie_in_the_folder_itself_and_nothing_else_may(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    subject = Subject(lambda: load_model(tiny_folder("gpt2")), tmp_path / "out", corpora=(open_corpus(str(corpus)),))
    first = begin(subject, SMALL, lambda _: None)
    assert first.results.folder == tmp_path / "out" and (tmp_path / "out" / "study.json").is_file()
    assert begin(subject, SMALL, lambda _: None).results.key == first.results.key
    with pytest.raises(InputError, match=r"holds results of something else: --texts is 12 there and 13 here\..*--out"):
        begin(subject, replace(SMALL, texts=13), lambda _: None)
    other = replace(subject, model=lambda: load_model(tiny_folder("bert")))
    with pytest.raises(InputError, match=r"something else: model\.weights_sha256 is"):
        begin(other, SMALL, lambda _: None)


def test_there_must_be_one_corpus(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    subject = Subject(lambda: load_model(tiny_folder("gpt2")), tmp_path / "out")
    with pytest.raises(InputError, match="is given no corpus"):
        begin(subject, SMALL, lambda _: None)
    two = (open_corpus(str(corpus)), open_corpus("python-docs"))
    with pytest.raises(InputError, match="2 corpora are given"):
        begin(replace(subject, corpora=two), SMALL, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_an_index_says_which_corpus(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it can be opened again by its name; results lie beside the index, in a folder of their own."""
    options = IndexOptions(top=3, promoted=3, max_tokens=500)
    for name, source in (("docs", "python-docs"), ("file", corpus)):
        ffmem.build_index(tiny_folder("gpt2"), source, tmp_path / name, options=options, run=IN_PROCESS)
    docs, file = (ffmem.open_index(tmp_path / name) for name in ("docs", "file"))
    subject = Subject(lambda: load_model(tiny_folder("gpt2")), tmp_path / "unused", docs)
    context = begin(subject, SMALL, lambda _: None)
    assert context.corpus.name == "python-docs" and context.results.folder.parent == docs.folder / FOLDER
    monkeypatch.chdir(tmp_path)  # where there is no words.txt
    with pytest.raises(InputError, match=r"the text of the index .* \(words.txt\) cannot be opened again"):
        begin(replace(subject, index=file), SMALL, lambda _: None)
    (tmp_path / "words.txt").write_text("something else\n")
    with pytest.raises(InputError, match="cannot be opened again"):
        begin(replace(subject, index=file), SMALL, lambda _: None)
    (tmp_path / "words.txt").write_bytes(corpus.read_bytes())
    assert begin(replace(subject, index=file), SMALL, lambda _: None).corpus.name == "words.txt"
    assert not (tmp_path / "unused").exists()
