"""Weights that lie in files: which memory of this process is a file's, and pages of it given back to the system.

A weight that is memory-mapped takes memory only where it was read, and only until its pages are given back: what was not
written to is read from the file again.
"""

import ctypes
import mmap
import re
from bisect import bisect_right
from pathlib import Path

from torch import Tensor

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ [0-9a-f]+ \S+ ([0-9]+) ")
_PAGE = mmap.PAGESIZE


class FilePages:
    """The memory of this process that is mapped from files and that nobody has written to, as it is now."""

    def __init__(self) -> None:
        self._ranges = _clean_ranges() if hasattr(mmap, "MADV_DONTNEED") else []
        self._starts = [start for start, _ in self._ranges]

    def hold(self, tensor: Tensor) -> bool:
        """Whether a tensor lies there, in one piece."""
        if tensor.device.type != "cpu" or not tensor.is_contiguous() or not tensor.numel():
            return False
        start, end = _extent(tensor)
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and end <= self._ranges[place][1]


def give_back(tensor: Tensor) -> None:
    """Give back the pages that a tensor lies in, which `FilePages` holds; who reads it again reads the file again."""
    _advise(tensor, mmap.MADV_DONTNEED)


def read_ahead(tensor: Tensor) -> None:
    """Let the system begin to read the part of the file that a tensor lies in, without waiting for it."""
    _advise(tensor, mmap.MADV_WILLNEED)


def _clean_ranges() -> list[tuple[int, int]]:
    """Where files are mapped, ascending, but for mappings with pages that differ from their file."""
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:  # another system
        return []
    found: list[tuple[int, int]] = []
    for line in lines:
        mapping = _MAPPING.match(line)
        if mapping:
            is_file = mapping[3] != "0"
            begin = (int(mapping[1], 16), int(mapping[2], 16))
            if is_file:
                found.append(begin)
        elif line.startswith("Anonymous:") and is_file and int(line.split()[1]):
            found.pop()
    return sorted(found)


def _extent(tensor: Tensor) -> tuple[int, int]:
    start = tensor.data_ptr()
    return start, start + tensor.numel() * tensor.element_size()


def _advise(tensor: Tensor, advice: int) -> None:
    start, end = _extent(tensor)
    begin = start // _PAGE * _PAGE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(-(-end // _PAGE) * _PAGE - begin), advice)
