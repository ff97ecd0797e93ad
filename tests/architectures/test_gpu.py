"""Every architecture that is read on a CPU is read on a GPU, with the same coefficients."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch
from torch import Tensor

from ffmem import load_model
from ffmem.errors import FfmemError
from ffmem.models.transformer import Transformer
from tests.architectures import Architecture, zoo
from tests.architectures.making import SENTENCES, inputs_of, made, save
from tests.architectures.page import NO_MEMORIES, NOT_YET

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; there is none on this machine"),
]


def coefficients(model: Transformer, architecture: Architecture) -> dict[int, Tensor]:
    given = inputs_of(architecture, model.module, SENTENCES[0])
    found: dict[int, Tensor] = {}
    with torch.inference_mode(), model.watch_coefficients(lambda layer, m: found.__setitem__(layer, m.float().cpu())):
        model.forward(given["input_ids"].to(model.device), given["attention_mask"].to(model.device))
    return found


def difference(architecture: Architecture, folder: Path) -> str:
    """What is not the same on both, or nothing."""
    save(architecture, made(architecture), folder)
    try:
        on_cpu, on_gpu = (coefficients(load_model(folder, device=one), architecture) for one in ("cpu", "cuda"))
    except FfmemError as error:
        return str(error).splitlines()[0]
    if on_cpu.keys() != on_gpu.keys():
        return f"layers {sorted(on_gpu)}, not {sorted(on_cpu)}"
    for layer, expected in on_cpu.items():
        error = float((on_gpu[layer] - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
        if not error < 1e-3:
            return f"layer {layer} is off by {error:.2g}"
    return ""


@pytest.mark.parametrize("kind", [module.name for module in iter_modules(zoo.__path__)])
def test_a_gpu_reads_what_a_cpu_reads(kind: str, tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    entries = import_module(f"{zoo.__name__}.{kind}").ENTRIES
    expected = [entry for entry in entries if entry.name not in NO_MEMORIES.keys() | NOT_YET.keys()]
    found = {entry.name: difference(entry, tmp_path / entry.name) for entry in expected}
    assert {name: told for name, told in found.items() if told} == {}
