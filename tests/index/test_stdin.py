"""Whole builds from standard input: stopped, gone on with, finished."""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.index import build
from tests.fixtures.programs import run_python

IN_PROCESS = RunOptions(workers=0)
Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Puts bytes into standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))

    return put


class TestStandardInput:
    @pytest.fixture
    def index(
        self, tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
    ) -> Callable[..., Index]:
        options = replace(small_options, max_sentences=40)
        return lambda corpus="-", name="i", field="text": ffmem.build_index(
            tiny_folder("gpt2"), corpus, tmp_path / name, options=options, run=IN_PROCESS, field=field
        )

    def test_it_is_indexed_like_a_file(self, index: Callable[..., Index], corpus: Path, pipe: Pipe):
        pipe(corpus.read_bytes())
        piped, file = index(), index(corpus, "file")
        for name in ("layers/L000.safetensors", "tokens.safetensors"):
            assert (piped.folder / "index" / name).read_bytes() == (file.folder / "index" / name).read_bytes()
        assert not (piped.folder / "work").exists()

    def test_a_stopped_build_goes_on_without_it(
        self, index: Callable[..., Index], corpus: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
    ):
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        pipe(corpus.read_bytes())
        for stage in ("_begin_text", "_certify", "_scan"):
            with monkeypatch.context() as patch:
                patch.setattr(build.Build, stage, stop)
                with pytest.raises(KeyboardInterrupt):
                    index()
            pipe(b"")
        pipe(b"Something else.")
        with pytest.raises(InputError, match=r"corpus\.sha256 is '\w+' there and '\w+' here"):
            index()
        pipe(b"")
        with pytest.raises(InputError, match=r"corpus\.format is 'text' there and 'jsonl' here"):
            index(field="body")
        assert index().manifest.counts == index(corpus, "file").manifest.counts

    def test_a_finished_one_opens(self, index: Callable[..., Index], corpus: Path, pipe: Pipe):
        pipe(corpus.read_bytes())
        first = index()
        for data in (b"", corpus.read_bytes()):
            pipe(data)
            assert index().manifest == first.manifest
        pipe(b"Something else.")
        with pytest.raises(InputError, match=r"holds an index of something else: corpus\.sha256"):
            index()

    def test_nothing_is_kept_in_a_folder_of_something_else(
        self, index: Callable[..., Index], pipe: Pipe, tmp_path: Path
    ):
        (tmp_path / "i").mkdir()
        (tmp_path / "i" / "mine").touch()
        pipe(b"One.")
        with pytest.raises(InputError, match=r"is not empty \(it holds mine\), and has no index in it"):
            index()
        assert not (tmp_path / "i" / "work").exists()

    def test_from_the_command_line(self, tiny_folder: Callable[[str], Path], tmp_path: Path):
        command = ["-m", "ffmem", "index", str(tiny_folder("gpt2")), "-", "--out", str(tmp_path / "i")]
        command += ["--workers", "0", "--quiet", "--holdout", "0"]
        text = b"One fox. Two foxes.\n\nThree."
        first = subprocess.run([sys.executable, *command], input=text, capture_output=True)
        assert (first.returncode, first.stdout, first.stderr) == (0, b"", b"")
        assert ffmem.open_index(tmp_path / "i").text.n_sentences == 3
        again = run_python(*command)  # with nothing on its standard input
        assert (again.returncode, again.stderr) == (0, "")
