"""What an index needs of disk and memory, and whether there is that much."""

import os
import shutil
from pathlib import Path

from ffmem.errors import InputError
from ffmem.index.state.layers import Shape
from ffmem.store import fields


def state_bytes(shape: Shape) -> int:
    """Bytes of a worker's state: its lists, histograms and sums."""
    return sum(fields.state_bytes(shape.sizes(cells)) for cells in shape.layers)


def layers_bytes(shape: Shape, n_promoted: int) -> int:
    """Bytes of the layer files of a finished index, headers apart."""
    return sum(fields.layer_bytes(shape.sizes(cells, n_promoted)) for cells in shape.layers)


def free_disk(folder: Path) -> int:
    """Bytes that can be written to a folder, which may not be there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def free_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where this system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_room(folder: Path, disk_bytes: int, memory_bytes: int) -> None:
    """Refuse a build that cannot fit.

    Raises:
        InputError: with what is needed, and what there is.
    """
    free = free_disk(folder)
    if disk_bytes > free:
        raise InputError(
            f"the index needs {_size(disk_bytes)} of disk in {folder}, and {_size(free)} is free",
            "Expected space for the finished index and what its workers keep while it is built",
            "Choose another disk with --out, or lower --top",
        )
    memory = free_memory()
    if memory is not None and memory_bytes > memory:
        raise InputError(
            f"the build needs {_size(memory_bytes)} of memory, and {_size(memory)} is free",
            "Expected memory for the model, and for the lists of each worker",
            "Lower --workers or --top, or use a machine with more memory",
        )


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
