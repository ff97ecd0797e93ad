"""How fast this machine brings weights: from the files of a model, and from its memory to a device. Measured in seconds."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ffmem.errors import InputError
from ffmem.index.stream_cost import Bandwidths

SECONDS = 1.0
"""Of each measurement."""
_CHUNK = 16 * 2**20
_COPY = 256 * 2**20
"""Bytes of one copy to a device: about a matrix of a large model."""


def measure_bandwidths(files: Sequence[Path], device: str, seconds: float = SECONDS) -> Bandwidths:
    """What a stream of the weights in these files would run at.

    Args:
        files: with the weights; not mapped by anybody, or they are read from memory.
        device: where the weights would be brought.
        seconds: of each of the two measurements.
    """
    on_cpu = torch.device(device).type == "cpu"
    return Bandwidths(disk_bandwidth(files, seconds), None if on_cpu else device_bandwidth(device, seconds))


def disk_bandwidth(files: Sequence[Path], seconds: float = SECONDS) -> float:
    """Bytes a second of reading files from one end to the other, past the system's cache where it can be emptied.

    Where it cannot (not Linux, or other processes have the files mapped), what is measured is that cache: an upper bound.

    Raises:
        InputError: a file cannot be read.
    """
    buffer = memoryview(bytearray(_CHUNK))
    n_read, took = 0, 0.0
    for file in sorted(files, key=_size, reverse=True):
        with file.open("rb", buffering=0) as opened:
            _drop_cached(opened.fileno())
            begin = time.perf_counter()
            while took < seconds and (n := opened.readinto(buffer)):
                n_read += n
                took, begin = took + time.perf_counter() - begin, time.perf_counter()
    return n_read / max(took, 1e-9)


def device_bandwidth(device: str, seconds: float = SECONDS) -> float:
    """Bytes a second of copies from pinned memory of the host to a GPU."""
    source = torch.empty(_COPY, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(source, device=device, pin_memory=False)

    def copy() -> int:
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize(target.device)
        return _COPY

    copy()  # the first one sets the device up
    return rate(copy, seconds)


def rate(step: Callable[[], int], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Bytes a second of a step that says how many it moved, over so many seconds, one step at least."""
    begin, n_bytes = clock(), 0
    while True:
        n_bytes += step()
        if (took := clock() - begin) >= seconds:
            return n_bytes / max(took, 1e-9)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror or error}",
            "Expected a file with weights",
            "Check the model's folder",
        ) from error


def _drop_cached(descriptor: int) -> None:
    """Ask the system to forget what it holds of a file; clean pages that nobody has mapped go at once."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
