"""Sizes as people write them."""

import pytest

from ffmem.errors import InputError
from ffmem.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("8GB", 8_000_000_000),
        ("8gb", 8_000_000_000),
        ("7.5GiB", 15 * 2**29),
        ("500 MB", 500_000_000),
        ("2g", 2_000_000_000),
        ("1KiB", 1024),
        ("1.5k", 1500),
        ("1000000", 1_000_000),
        ("3B", 3),
        ("1TB", 10**12),
    ],
)
def test_sizes_are_read(text: str, n_bytes: int) -> None:
    assert parse_size(text, "--model-memory") == n_bytes


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "8 apples", "8GBB", "1e9", "0", "0.1", "nan", "8,000", "0GB", None, 5]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--model-memory is .*Expected a size, such as 8GB.*Write --model-memory 8GB"):
        parse_size(text, "--model-memory")


def test_sizes_are_told() -> None:
    assert [size_text(n) for n in (0, 1_499_999, 538_000_000, 1_000_000_000, 141_100_000_000, 2e12)] == [
        "0 KB",
        "1 MB",
        "538 MB",
        "1.0 GB",
        "141.1 GB",
        "2,000.0 GB",
    ]
