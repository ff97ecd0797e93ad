"""What lies in files is told from what does not, by memory that the test maps itself."""

import sys
from pathlib import Path

import pytest
import torch

from ffmem.models.streaming.pages import FilePages, give_back, read_ahead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
N = 1 << 18  # numbers: a megabyte


@pytest.fixture
def mapped(tmp_path: Path) -> torch.Tensor:
    torch.arange(N, dtype=torch.float32).numpy().tofile(tmp_path / "numbers")
    return torch.from_file(str(tmp_path / "numbers"), shared=False, size=N, dtype=torch.float32)


def resident(tensor: torch.Tensor) -> int:
    """Bytes of the mapping that a tensor begins, as the system counts them."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.startswith(f"{tensor.data_ptr():x}-"):
            return next(int(one.split()[1]) * 1024 for one in lines if one.startswith("Rss:"))
    raise AssertionError("the tensor begins no mapping")


def test_memory_of_a_file_is_known_and_no_other(mapped: torch.Tensor) -> None:
    pages = FilePages()
    assert pages.hold(mapped) and pages.hold(mapped[100:200]) and pages.hold(mapped.view(512, 512))
    assert not pages.hold(mapped.view(512, 512).T), "not in one piece"
    assert not pages.hold(torch.zeros(N)) and not pages.hold(torch.zeros(0))


def test_memory_that_was_written_to_is_not_given_back(mapped: torch.Tensor) -> None:
    mapped[5] = 7.0
    assert not FilePages().hold(mapped)


def test_pages_that_are_given_back_are_read_from_the_file_again(mapped: torch.Tensor) -> None:
    total = float(mapped.sum())
    assert resident(mapped) == 4 * N
    give_back(mapped)
    assert resident(mapped) == 0
    read_ahead(mapped)
    assert float(mapped.sum()) == total and resident(mapped) == 4 * N
