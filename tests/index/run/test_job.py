"""Files of a worker, and that what a build runs is what executors ask for."""

from pathlib import Path

import pytest

from ffmem import IndexOptions
from ffmem.errors import StoreError
from ffmem.index.run.job import Files, FolderFiles, Job, Task, Worker
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.job import IndexJob
from ffmem.index.scan.tasks import ProjectLayer, ScanShard
from ffmem.index.scan.worker import IndexWorker
from tests.index.run.adding import AddJob, AddWorker, Number


def test_what_is_written_is_read_and_nothing_else_is_there(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    assert files.read("state") is None
    files.write("state", b"\x00first")
    files.write("state", b"second")
    assert files.read("state") == b"second" == (tmp_path / "state").read_bytes()
    files.write("empty", b"")
    assert files.read("empty") == b"", "an empty file is there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "state"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FolderFiles(tmp_path)
    files.write("state", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        files.write("state", b"new")
    assert files.read("state") == b"old"


def test_what_a_build_runs_has_all_that_an_executor_asks_for(tmp_path: Path) -> None:
    job = IndexJob(tmp_path, "m", None, IndexOptions(), "raw", "run", "job", 1.0)
    assert isinstance(job, Job) and isinstance(AddJob(tmp_path), Job)
    assert isinstance(ScanShard(Shard(0, 0, 1, 1)), Task) and isinstance(ProjectLayer(0), Task)
    assert isinstance(FolderFiles(tmp_path), Files)
    assert issubclass(IndexWorker, Worker) and issubclass(AddWorker, Worker)
    assert not isinstance(Number(1), Job) and not isinstance(object(), Task)
