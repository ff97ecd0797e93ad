"""Sizes as people write them."""

import pytest

from ffmem.errors import InputError
from ffmem.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        ("8GB", 8 * 10**9),
        ("500MB", 5 * 10**8),
        ("1.5 gb", 15 * 10**8),
        ("2GiB", 2**31),
        ("512kib", 2**19),
        ("7B", 7),
        ("1000", 1000),
        ("0.001TB", 10**9),
    ],
)
def test_what_is_read(size: str, n_bytes: int) -> None:
    assert parse_size(size, "--model-memory") == n_bytes


@pytest.mark.parametrize(
    "size", ["", "GB", "0", "0.0GB", "-1GB", "8 G B", "8PB", "eight", "1e9", "8GB ", 8, None, True]
)
def test_what_is_no_size_is_refused_with_the_option_and_the_units(size: object) -> None:
    with pytest.raises(InputError, match="--model-memory is") as refused:
        parse_size(size, "--model-memory")
    assert "KB, MB, GB, TB" in str(refused.value) and "--model-memory 8GB" in str(refused.value)


def test_how_a_size_is_told() -> None:
    assert [format_size(n) for n in (12, 1_500, 134_000_000, 8 * 10**9, 3 * 10**12)] == [
        "12 bytes",
        "1.5 KB",
        "134.0 MB",
        "8.0 GB",
        "3.0 TB",
    ]
