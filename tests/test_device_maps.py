"""What a user types to spread a model."""

import pytest

from ffmem.device_maps import parse_device_map
from ffmem.errors import InputError


def test_limits_are_read() -> None:
    assert parse_device_map("auto") is None
    assert parse_device_map("0=60GB, cuda:1=500MB,cpu=1.5GiB") == {0: 60 * 10**9, 1: 500 * 10**6, "cpu": 1_610_612_736}


@pytest.mark.parametrize("text", ["", "0", "cpu", "disk=3GB", "0=1GB,0=2GB", "0=1GB,,1=2GB", "-1=3GB", "gpu=1GB", None])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--device-map is .*Write --device-map auto, or for example"):
        parse_device_map(text)


def test_a_limit_that_is_no_size_is_named() -> None:
    with pytest.raises(InputError, match="--device-map cpu is 'much'"):
        parse_device_map("0=1GB,cpu=much")
