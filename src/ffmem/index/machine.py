"""What the last bits of a number depend on: the processor, and the library that computes."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ffmem.errors import InputError, ModelError

_TORCH = ", torch "


def processor() -> str:
    """Name of this machine's processor, as far as it can be had; float results depend on it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine(*devices: torch.device | str) -> str:
    """What computes on devices of this machine, in words; machines that are told alike compute the same bits."""
    places = [torch.device(device) for device in devices]
    return f"{' and '.join(dict.fromkeys(map(_name, places)))}{_TORCH}{torch.__version__}"


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor() if device.type == "cpu" else f"{device} of {processor()}"  # torch names no other kind of device


def processor_of(machine: str) -> str:
    """The name of the processor in what `machine` told."""
    return machine.rpartition(_TORCH)[0]


def device_here(device: str) -> str:
    """A device if it can be used here, else the CPU: what was computed on a GPU is read on machines without one."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        return "cpu"
    return device


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device is {device!r}, which cannot be used here: {str(error).splitlines()[0]}",
            f"Expected cpu{' or cuda' if torch.cuda.is_available() else ' (torch sees no GPU on this machine)'}",
            "Write --device cpu",
        ) from error


@contextmanager
def device_memory(device: str, what: str) -> Iterator[None]:
    """Turn a device's error that its memory is too small into one that says for what, and how to mend it.

    Raises:
        ModelError: the memory is too small.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{device} has too little memory for {what}: {str(error).splitlines()[0][:200]}",
            "Expected memory for the model, twice the lists and statistics of its cells, and a batch",
            "Use --dtype bfloat16, lower --batch-tokens, --max-length or --top, or a device with more memory",
        ) from None


def n_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
