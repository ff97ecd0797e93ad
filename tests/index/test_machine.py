"""What computes, and whether it can."""

import pytest

from ffmem.errors import InputError
from ffmem.index.machine import check_device, machine, processor, processor_of


def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("cpu")
    with pytest.raises(InputError, match=r"--device is 'cuda:99'.*Write --device cpu"):
        check_device("cuda:99")


def test_a_machine_is_told_with_its_processor() -> None:
    assert processor_of(machine("cpu")) == processor() != ""
