"""What a model says on another device is what it says on the CPU, whichever verb asks.

On a device that is simulated, whose tensors meet none of the CPU's, and on a GPU, where there is one: to rounding.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import Index

TEXT = "the old man went"
COMMANDS = [
    "verify INDEX",
    f"activate INDEX|{TEXT}|--json",
    f"explain INDEX|{TEXT}|--json",
    f"intervene INDEX|{TEXT}|L0.3*0|L1.2=1.5|--json",
    f"attention INDEX|{TEXT}|--json",
    f"map INDEX|{TEXT}|--json",
    f"patch INDEX|{TEXT}|L1|--json",
    f"flow INDEX|{TEXT}|--json",
    "similar INDEX|L1.3|--by|value|--model|MODEL|--json",
    "info MODEL|--structure|--json",
]
ON_A_GPU = [*COMMANDS, f"circuit INDEX|{TEXT}|--json"]
"""Also what multiplies single vectors, which the simulated device cannot."""
RUN = """
import contextlib, io, json, sys, traceback
from ffmem.cli import app
from tests.fixtures.simulated_device import Simulated

def said(words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            app(words, exit_on_error=False)
        except SystemExit as stop:
            return [stop.code or 0, out.getvalue()]
        except Exception:  # whatever a verb raises is its answer, told with the words that were typed
            return [-1, traceback.format_exc()]
    return [0, out.getvalue()]

commands, device = json.loads(sys.argv[1]), sys.argv[2]
with Simulated() if device == "sim" else contextlib.nullcontext():
    answers = [[said([*words, "--device", where]) for where in ("cpu", device)] for words in commands]
print(json.dumps(answers))
"""


def answers(index: Index, typed: list[str], device: str) -> list[tuple[list[str], list[tuple[int, str]]]]:
    """Of each command: its words, and exit code and output on the CPU and on the device; all in one process."""
    model = index.manifest.identity.model.source
    commands = [
        [*one.replace("INDEX", str(index.folder)).replace("MODEL", model).replace(" ", "|", 1).split("|")]
        for one in typed
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands), device],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return list(zip(commands, json.loads(done.stdout.splitlines()[-1]), strict=True))


def agree(one: object, other: object) -> bool:
    """Whether two answers say the same; numbers to rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return other == pytest.approx(one, rel=1e-3, abs=1e-5)
    return one == other


def check(words: list[str], here: tuple[int, str], there: tuple[int, str]) -> None:
    assert here[0] == 0, (words, here[1])
    assert there[0] == 0, (words, there[1])
    if "--json" in words:
        assert agree(json.loads(here[1]), json.loads(there[1])), (words, here[1], there[1])
    else:
        assert here[1].splitlines()[-1] == there[1].splitlines()[-1], words


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_verb_runs_on_a_simulated_device(family: str, index_of: Callable[[str], Index]) -> None:
    for words, (here, there) in answers(index_of(family), COMMANDS, "sim"):
        check(words, here, there)


def test_the_simulated_device_refuses_what_a_device_would() -> None:
    code = """
import torch
from tests.fixtures.simulated_device import Simulated
with Simulated():
    there = torch.ones(3, 4).to("sim")
    assert (there @ torch.ones(4, 2).to("sim")).cpu().sum() == 24
    for wrong in (lambda: there @ torch.ones(4, 2), lambda: there + torch.ones(4), lambda: there.numpy()):
        try:
            wrong()
        except (RuntimeError, TypeError):
            continue
        raise AssertionError("two devices met")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; there is none on this machine")
def test_every_verb_runs_on_a_gpu(index_of: Callable[[str], Index]) -> None:
    for words, (here, there) in answers(index_of("gpt2"), ON_A_GPU, "cuda"):
        check(words, here, there)
