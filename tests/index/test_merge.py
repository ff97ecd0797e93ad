"""Indexes of parts against one build over all: the same arrays, the same rows."""

import hashlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions, StoreError
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.verification.verify import verify_index
from tests.conftest import WORDS
from tests.fixtures.programs import run_python

IN_PROCESS = RunOptions(workers=0)
Build = Callable[..., Index]


def contents(index: Index) -> dict[str, Any]:
    """Bytes of the arrays, and the rows of the text."""
    folder = index.folder / "index"
    found: dict[str, Any] = {path.name: path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}
    database = sqlite3.connect(folder / "text.sqlite")
    for table in ("documents", "sentences", "vocabulary"):
        found[table] = database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    database.close()
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three corpora without a sentence in common."""
    folder = tmp_path_factory.mktemp("texts")
    paths = []
    for name in ("a", "b", "c"):
        rng = random.Random(name)
        sentences = [" ".join([name, *rng.choices(WORDS, k=rng.randint(2, 9))]).capitalize() + "." for _ in range(120)]
        sentences += sentences[:10]  # repeats
        paths.append(folder / f"{name}.txt")
        paths[-1].write_text("\n\n".join(" ".join(sentences[i : i + 4]) for i in range(0, len(sentences), 4)))
    return paths[0], paths[1], paths[2]


@pytest.fixture
def build(
    request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> Build:
    def make(name: str, *corpora: Path, **named: Any) -> Index:
        options = named.pop("options", small_options)
        run = named.pop("run", IN_PROCESS)
        family = getattr(request, "param", "llama")
        return build_index(tiny_folder(family), corpora, tmp_path / name, options=options, run=run, **named)

    return make


@pytest.mark.parametrize("build", ["llama", "gpt2", "mixtral", "t5"], indirect=True)
def test_a_merged_index_is_one_build_over_both(build: Build, texts: tuple[Path, ...], tmp_path: Path) -> None:
    first, second = build("a", texts[0]), build("b", texts[1])
    merged = merge_indexes(first.folder, second.folder, tmp_path / "ab")
    again = merge_indexes(second.folder, first.folder, tmp_path / "ba")
    names = merged.manifest.identity.corpus.name.split(" + ")
    whole = build("whole", *(path for name in names for path in texts if path.name == name))
    assert contents(merged) == contents(again) == contents(whole)
    assert merged.manifest.counts == whole.manifest.counts == again.manifest.counts
    assert merged.manifest.identity == whole.manifest.identity
    assert merged.manifest.counts.n_sentences_shared == 0 and merged.manifest.same_bytes.holds
    assert merged.manifest.counts.n_sentences_held_out > 0
    assert merged.text.n_sentences > max(first.text.n_sentences, second.text.n_sentences)
    found = verify_index(merged, n_batches=2)
    assert found.problems == () and found.same_bytes and found.n_triggers > 30


@pytest.mark.parametrize("build", ["llama", "gpt2", "mixtral", "t5"], indirect=True)
def test_an_extended_index_is_one_build_over_all(build: Build, texts: tuple[Path, ...]) -> None:
    base = build("a", texts[0])
    before = contents(base)
    extended = build("abc", *texts[1:], extend=base.folder)
    whole = build("whole", *texts)
    assert contents(extended) == contents(whole) and contents(base) == before
    assert extended.manifest.counts == whole.manifest.counts
    assert extended.manifest.identity == whole.manifest.identity
    assert verify_index(extended, n_batches=2).problems == ()
    step = build("ab", texts[1], extend=base.folder)
    assert contents(build("ab-c", texts[2], extend=step.folder)) == contents(whole)


def older(index: Index, folder: Path) -> Index:
    """The same index as builds wrote it before they counted the sentences in which a cell is active."""
    shutil.copytree(index.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.pop("statistics") == ["n_active_sentences"]
    for path in (folder / "index" / "layers").iterdir():
        arrays = load_file(path)
        del arrays["n_active_sentences"]
        path.write_bytes(save(arrays))
        told = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        manifest["files"][path.relative_to(folder).as_posix()] = told
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return ffmem.open_index(folder)


@pytest.mark.parametrize("build", ["gpt2"], indirect=True)
def test_what_an_older_index_does_not_know_is_not_known_of_what_it_becomes_part_of(
    build: Build, texts: tuple[Path, ...], tmp_path: Path
) -> None:
    first, second = build("a", texts[0]), build("b", texts[1])
    before, whole = older(first, tmp_path / "old"), older(build("ab", *texts[:2]), tmp_path / "old-ab")
    extended = build("extended", texts[1], extend=before.folder)
    assert contents(extended) == contents(whole) and verify_index(extended, n_batches=0).problems == ()
    merged = merge_indexes(before.folder, second.folder, tmp_path / "merged")
    for found in (before, extended, merged):
        assert not found.manifest.has_active_sentences and "statistics" not in found.manifest.json
        with pytest.raises(StoreError, match="has no array 'n_active_sentences'"):
            _ = found.layer(0).n_active_sentences
    assert first.manifest.has_active_sentences and first.layer(0).n_active_sentences.dtype == "int64"


def test_sentences_that_come_again_are_counted_with_their_first(
    build: Build, texts: tuple[Path, ...], tmp_path: Path
) -> None:
    """In an extension, as in one build; a merge keeps both, and says how many."""
    more = tmp_path / "more.txt"
    more.write_text(texts[1].read_text() + "\n\n" + "\n\n".join(texts[0].read_text().split("\n\n")[:10]))
    base = build("a", texts[0])
    extended, whole = build("a+", more, extend=base.folder), build("whole", texts[0], more)
    assert contents(extended) == contents(whole) and extended.manifest.counts == whole.manifest.counts
    assert whole.manifest.counts.n_duplicates > base.manifest.counts.n_duplicates + 10
    merged = merge_indexes(base.folder, build("more", more).folder, tmp_path / "merged")
    n_shared = merged.manifest.counts.n_sentences_shared
    assert n_shared == merged.text.n_sentences - whole.text.n_sentences > 10
    assert verify_index(merged, with_model=False).problems == ()


def test_merges_of_merges_cover_everything(build: Build, texts: tuple[Path, ...], tmp_path: Path) -> None:
    parts = [build(path.stem, path) for path in texts]
    pair = merge_indexes(parts[0].folder, parts[1].folder, tmp_path / "pair")
    merged = merge_indexes(parts[2].folder, pair.folder, tmp_path / "all")
    assert merged.text.n_sentences == sum(part.text.n_sentences for part in parts)
    assert len(merged.manifest.identity.corpora) == 3
    assert verify_index(merged, n_batches=2).problems == ()
    with pytest.raises(InputError, match=r"both hold the corpus a\.txt.*would be counted twice"):
        merge_indexes(merged.folder, parts[0].folder, tmp_path / "twice")


def test_what_cannot_be_joined(
    texts: tuple[Path, ...], tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> None:
    def make(name: str, family: str, corpus: Path, options: IndexOptions = small_options, **named: Any) -> Index:
        return build_index(tiny_folder(family), corpus, tmp_path / name, options=options, run=IN_PROCESS, **named)

    first = make("a", "llama", texts[0])
    with pytest.raises(InputError, match=r"cannot be merged: model\.weights_sha256 is '.*there and '.*here"):
        merge_indexes(first.folder, make("b", "gpt2", texts[1]).folder, tmp_path / "x")
    with pytest.raises(InputError, match=r"cannot be merged: --top is \d+ there and \d+ here"):
        merge_indexes(first.folder, make("c", "llama", texts[1], replace(small_options, top=3)).folder, tmp_path / "x")
    with pytest.raises(InputError, match=r"is not empty \(it holds index, manifest\.json"):
        merge_indexes(first.folder, make("d", "llama", texts[1]).folder, first.folder)
    with pytest.raises(InputError, match=r"cannot be extended with these options: --top is 7 there and 3 here"):
        make("e", "llama", texts[1], replace(small_options, top=3), extend=first.folder)
    limited = replace(small_options, max_sentences=10)
    short = make("short", "llama", texts[0], limited)
    with pytest.raises(InputError, match="stopped at --max-sentences, so no text can follow it"):
        make("f", "llama", texts[1], limited, extend=short.folder)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_a_killed_extension_goes_on(
    texts: tuple[Path, ...], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    options = IndexOptions(top=5, batch_tokens=200, shard_tokens=400)
    model = tiny_folder("llama")
    base = build_index(model, texts[0], tmp_path / "a", options=options, run=IN_PROCESS)
    whole = build_index(model, texts, tmp_path / "whole", options=options, run=IN_PROCESS)
    flags = ["--top", "5", "--batch-tokens", "200", "--shard-tokens", "400", "--workers", "0", "--checkpoint-s", "0"]
    command = [sys.executable, "-m", "ffmem", "index", str(model), *map(str, texts[1:]), "--out", str(tmp_path / "b")]
    command += ["--extend", str(base.folder), "--quiet", *flags]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not (tmp_path / "b" / "work" / "base.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "b" / "work").is_dir()
    done = run_python(*command[1:])
    assert done.returncode == 0, done.stderr
    assert contents(ffmem.open_index(tmp_path / "b")) == contents(whole)
