"""A build that is refused leaves its folder as it was, and a mended one works there."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ffmem
from ffmem import IndexOptions, InputError, RunOptions
from ffmem.index import build

IN_PROCESS = RunOptions(workers=0)
OPTIONS = IndexOptions(top=3, promoted=5, holdout=0)
GOOD = '{"text": "The quick brown fox."}\n'
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "empty": ("", {}),
    "blank": ("\n \n", {}),
    "bad JSON at line 3": (GOOD * 2 + '{"text": \n', {}),
    "a wrong field": (GOOD, {"field": "body"}),
    "nothing left": (GOOD, {"options": IndexOptions(top=3, holdout=0.999999)}),
    "too long": ('{"text": "' + "fox " * 500 + '"}', {"options": IndexOptions(holdout=0, long_sentences="refuse")}),
    "UTF-16": ("\x00".join(GOOD), {}),
    "windows too large": (GOOD, {"options": IndexOptions(holdout=0, split="windows:5000")}),
    "cells that are not there": (GOOD, {"options": IndexOptions(holdout=0, cells="L99")}),
    "no such model": (GOOD, {"model": "/no/such/model"}),
    "no such shard": (GOOD, {"options": IndexOptions(holdout=0, exclude_shards="77")}),
}


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def index(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., ffmem.Index]:
    def make(
        text: str, out: Path, model: str | None = None, options: IndexOptions = OPTIONS, **more: Any
    ) -> ffmem.Index:
        path = tmp_path / "corpus.jsonl"
        path.write_text(text)
        return ffmem.build_index(model or tiny_folder("gpt2"), path, out, options=options, run=IN_PROCESS, **more)

    return make


@pytest.mark.parametrize(("why", "is_there"), [*((why, False) for why in REFUSED), ("bad JSON at line 3", True)])
def test_a_refusal_leaves_no_trace(index, tmp_path: Path, why: str, is_there: bool) -> None:
    top = tmp_path / "runs"
    out = top / "deep" / "i"
    if is_there:
        out.mkdir(parents=True)
    text, arguments = REFUSED[why]
    with pytest.raises(InputError):
        index(text, out, **arguments)
    assert snapshot(top) == ({"deep": None, "deep/i": None} if is_there else {})
    assert top.exists() == is_there


def test_the_same_command_with_a_mended_corpus_and_other_options_works(index, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        index("", tmp_path / "i")
    found = index(GOOD, tmp_path / "i", options=IndexOptions(top=2, promoted=3, holdout=0))
    assert found.manifest.counts.n_documents == 1


def test_an_unfinished_build_stays_as_it_was(index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "i"
    with monkeypatch.context() as patch:
        patch.setattr(build.Build, "_scan", stop)
        with pytest.raises(KeyboardInterrupt):
            index(GOOD, out)
    before = snapshot(out)
    for why in ("empty", "bad JSON at line 3", "no such shard"):
        text, arguments = REFUSED[why]
        with pytest.raises(InputError):
            index(text, out, **arguments)
        now = snapshot(out)
        # but for the record of runs, which tells of this one too
        assert now | {"work/run.json": None} == before | {"work/run.json": None}
    with pytest.raises(InputError, match="an index of something else"):
        index(GOOD, out, options=IndexOptions(top=4, holdout=0))
    assert index(GOOD, out).manifest.counts.n_sentences == 1


def test_nothing_of_standard_input_stays_in_another_index(
    index, tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "i"
    index(GOOD, out)
    before = snapshot(out)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"More."), isatty=lambda: False))
    corpora = [tmp_path / "corpus.jsonl", "-"]
    with pytest.raises(InputError, match="an index of something else"):
        ffmem.build_index(tiny_folder("gpt2"), corpora, out, options=OPTIONS, run=IN_PROCESS)
    assert snapshot(out) == before


def test_a_file_in_the_place_of_the_folder(index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("years of work")
    for out in (tmp_path / "file", tmp_path / "file" / "i"):
        with pytest.raises(InputError, match=r"cannot be a folder: .* Choose another folder with --out"):
            index(GOOD, out)
    assert (tmp_path / "file").read_text() == "years of work"
