"""Simulated devices refuse what devices refuse, compute what the CPU computes, and catch what ffmem forgets."""

import importlib
import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ffmem
from ffmem import Index
from ffmem.analyses import token_coefficients
from ffmem.index.indexed_model import load_indexed_model
from tests.fixtures.elsewhere import elsewhere


def refused() -> dict[str, str]:
    """What operations on tensors of several devices end with; "" where they end well."""
    here = torch.ones(4, 4)
    first, second = here.to("sim"), here.to("sim:1")
    row = torch.tensor([1])
    tried: dict[str, Callable[[], Any]] = {
        "device and CPU": lambda: first + here,
        "product with the CPU": lambda: first @ here,
        "two devices": lambda: first + second,
        "product of two devices": lambda: second @ first[0],
        "a number of another device": lambda: first + torch.tensor(1.0, device="sim:1"),
        "a number of a device and the CPU": lambda: here + torch.tensor(1.0, device="sim"),
        "numpy": first.numpy,
        "numpy's own": lambda: torch.from_numpy(np.asarray(first)),
        "mask of the CPU": lambda: first.masked_fill(here > 0, 0.0),
        "rows of the CPU from a device's": lambda: here[row.to("sim")],
        "rows by another device's": lambda: first[row.to("sim:1")],
        "selected by the CPU's": lambda: first.index_select(0, row),
        "values of the CPU": lambda: first.index_put_((row.to("sim"),), here[:1]),
        "a number of the CPU": lambda: first + torch.tensor(1.0),
        "rows by the CPU's": lambda: first[row],
        "copies": lambda: first.copy_(second).to("sim:1").cpu(),
    }
    found = {}
    for name, do in tried.items():
        try:
            do()
            found[name] = ""
        except (RuntimeError, TypeError) as error:
            found[name] = str(error)
    return found


def computed() -> dict[str, Any]:
    """Products with a vector, gradients, threads, in-place changes, tied weights, and where results are."""
    torch.manual_seed(0)
    here, answers = torch.randn(3, 4), {}
    for name in ("cpu", "sim", "sim:1"):
        there = here.to(name)
        with torch.inference_mode():
            products = [there @ there[0], there[0] @ there[1], (there.to("cpu") @ here[0]).to(name)]
        changed = there.clone()
        changed[1:].t_().mul_(2)
        column = torch.zeros(3, 1, device=name).squeeze_(1)
        column.data = there[:, 2]
        found = [*products, changed, column + torch.arange(3, device=name)]
        assert {one.device for one in found} == {there.device}
        answers[name] = [one.cpu().tolist() for one in found]
        if name != "cpu":  # what is brought elsewhere is a copy
            there.cpu().zero_()
            assert there.cpu().equal(here) and there.to(name) is there
    weights = here.to("sim").requires_grad_()
    (weights @ weights[0]).square().sum().backward()
    beside = here.clone().requires_grad_()
    (beside @ beside[0]).square().sum().backward()
    torch.testing.assert_close(weights.grad.cpu(), beside.grad)
    tied = nn.ModuleDict({"one": nn.Linear(4, 4), "other": nn.Linear(4, 4)})
    tied["other"].weight = tied["one"].weight
    tied.to("sim")
    assert tied["other"].weight is tied["one"].weight
    told: list[Any] = []
    thread = threading.Thread(
        target=lambda: told.append((torch.ones(2, device="sim:1") @ here[:2, :2].to("sim:1")).tolist())
    )
    thread.start()
    thread.join()
    assert told == [here[:2, :2].sum(0).tolist()]
    return answers


def without(part: str, folder: str) -> str:
    """What reading coefficients on a device ends with if ffmem forgets a part of its source; "" if it ends well."""
    module = importlib.import_module("ffmem.analyses.token_coefficients")
    source = inspect.getsource(module)
    assert part in source
    exec(compile(source.replace(part, ""), str(module.__file__), "exec"), module.__dict__)
    index = ffmem.open_index(folder)
    try:
        module.token_coefficients(load_indexed_model(index, device="sim"), index, ffmem.CellId(1, 3), [0, 1])
    except (RuntimeError, TypeError) as error:
        return str(error)
    return ""


def test_tensors_of_two_devices_refuse_to_meet(tmp_path: Path) -> None:
    found = elsewhere("tests.test_simulated_devices:refused", folder=tmp_path)
    allowed = {"a number of the CPU", "rows by the CPU's", "copies"}
    assert {name for name, told in found.items() if not told} == allowed
    assert all("same device" in told for name, told in found.items() if name not in allowed and "numpy" not in name)


def test_they_compute_what_the_cpu_computes(tmp_path: Path) -> None:
    found = elsewhere("tests.test_simulated_devices:computed", folder=tmp_path)
    for name in ("sim", "sim:1"):
        for one, other in zip(found["cpu"], found[name], strict=True):
            torch.testing.assert_close(torch.tensor(one), torch.tensor(other))


@pytest.mark.parametrize(
    ("part", "told"), [("", ""), (".to(model.device)", "on the same device"), (".cpu()", "numpy() is not supported")]
)
def test_what_ffmem_forgets_is_caught(part: str, told: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    assert token_coefficients  # the module whose parts these are
    found = elsewhere("tests.test_simulated_devices:without", part, str(index_of("gpt2").folder), folder=tmp_path)
    assert told in found and bool(told) == bool(found)
