"""How fast weights are brought: what is counted, and against which clock."""

import os
import time
from pathlib import Path

import pytest

from ffmem.errors import InputError
from ffmem.index import bandwidths
from ffmem.index.bandwidths import disk_bandwidth, measure_bandwidths, rate


class Clock:
    """A clock that only steps move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float, n_bytes: int) -> int:
        self.now += seconds
        return n_bytes


def test_a_rate_is_bytes_by_the_clock_over_as_many_steps_as_fit() -> None:
    clock, sizes = Clock(), iter([100, 50, 350, 10**9])
    assert rate(lambda: clock.step(0.25, next(sizes)), 0.75, clock) == pytest.approx(500 / 0.75)
    assert rate(lambda: clock.step(2.0, 30), 0.5, clock) == pytest.approx(15.0)  # one at least


class SlowFile:
    """A file that takes a second of the clock for each of its reads."""

    def __init__(self, clock: Clock, n_reads: int, log: list[str]) -> None:
        self._clock, self._left, self._log = clock, n_reads, log

    def __enter__(self) -> "SlowFile":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def readinto(self, buffer: memoryview) -> int:
        self._log.append("read")
        if not self._left:
            return 0
        self._left -= 1
        self._clock.now += 1.0
        return len(buffer)


def test_files_are_read_past_the_cache_for_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = Clock(), []  # type: Clock, list[str]
    for name, size in (("small", 10), ("large", 1000)):
        (tmp_path / name).write_bytes(b"x" * size)
    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(Path, "open", lambda file, *_, **__: log.append(file.name) or SlowFile(clock, 3, log))
    monkeypatch.setattr(bandwidths, "_drop_cached", lambda _: log.append("drop"))
    files = [tmp_path / "small", tmp_path / "large"]
    assert disk_bandwidth(files, 2.0) == pytest.approx(bandwidths._CHUNK)
    assert log == [
        "large",
        "drop",
        "read",
        "read",
        "small",
        "drop",
    ]  # the largest first, and no read after the time is up
    log.clear()
    assert disk_bandwidth(files, 100.0) == pytest.approx(bandwidths._CHUNK)
    assert log.count("read") == 2 * 4  # to the ends


def test_a_real_file_has_a_speed_and_its_cached_pages_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(os.urandom(3_000_000))
    told = []
    if hasattr(os, "posix_fadvise"):
        advise = os.posix_fadvise
        monkeypatch.setattr(os, "posix_fadvise", lambda *given: told.append(given[1:]) or advise(*given))
    found = measure_bandwidths([tmp_path / "weights"], "cpu")
    assert found.device is None and 1e5 < found.disk < 1e12
    assert told == ([(0, 0, os.POSIX_FADV_DONTNEED)] if hasattr(os, "posix_fadvise") else [])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone cannot be read: No such file"):
        disk_bandwidth([tmp_path / "gone"])
