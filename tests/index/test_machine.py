"""What computes, and whether it can."""

import pytest
import torch

from ffmem.errors import InputError, ModelError
from ffmem.index.machine import check_device, device_here, device_memory, machine, n_processors, processor, processor_of


def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("cpu")
    with pytest.raises(InputError, match=r"--device is 'cuda:99'.*Write --device cpu"):
        check_device("cuda:99")


def test_what_was_made_on_a_device_that_is_not_here_is_read_on_the_cpu() -> None:
    assert device_here("cpu") == device_here("cuda:99") == "cpu"


def test_a_machine_is_told_with_its_processor() -> None:
    assert processor_of(machine("cpu")) == processor() != ""


def test_other_devices_than_gpus_are_told_with_the_processor_beside() -> None:
    assert processor_of(machine("mps", "cpu")) == f"mps of {processor()} and {processor()}"


def test_a_processor_may_have_commas_and_even_torch_in_its_name() -> None:
    assert processor_of("Some CPU, torch edition, 16 cores, torch 2.9.1+cpu") == "Some CPU, torch edition, 16 cores"
    assert machine("cpu").endswith(f", torch {torch.__version__}")


def test_memory_that_is_too_small_is_told_with_what_it_was_for() -> None:
    with pytest.raises(ModelError) as told, device_memory("cuda:1", "the model"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 1 has a capacity of 1 GiB")
    assert (
        told.value.got == "cuda:1 has too little memory for the model: CUDA out of memory. Tried to allocate 2.00 GiB."
    )
    assert told.value.mend.startswith("Use --dtype bfloat16, lower --batch-tokens")
    with pytest.raises(ZeroDivisionError), device_memory("cpu", "anything"):
        raise ZeroDivisionError


def test_processors_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 7}, raising=False)
    assert n_processors() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert n_processors() == 1
