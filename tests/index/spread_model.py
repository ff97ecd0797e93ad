"""A model whose layers are on two devices, by accelerate's own hooks, in the process that has the devices."""

from pathlib import Path
from typing import Any

import accelerate
import torch
from torch import nn

from ffmem import IndexOptions, RunOptions, build_index, load_model
from ffmem.index import build
from ffmem.index.scan import job
from ffmem.models.identity_proof import prove_identities
from ffmem.models.transformer import Transformer
from tests.fixtures.simulated_devices import KIND

FIRST, SECOND = torch.device(KIND, 0), torch.device(KIND, 1)
IDS = [[1, 2, 3, 4]]


def spread(model: Transformer) -> Transformer:
    """The first half of its layers with what stands before them on one device, all else on another."""
    names = {id(part): name for name, part in model.module.named_modules()}
    blocks = [names[id(model.layer(place).module)] for place in range(model.facts.n_layers)]
    where: dict[str, torch.device] = {}
    begun = False

    def place(prefix: str, module: nn.Module) -> None:
        nonlocal begun
        for name, child in module.named_children():
            path = prefix + name
            if path in blocks:
                begun, late = True, blocks.index(path) >= len(blocks) // 2
                where[path] = SECOND if late else FIRST
            elif any(block.startswith(f"{path}.") for block in blocks):
                place(f"{path}.", child)
            else:
                where[path] = SECOND if begun and "rotary" not in name else FIRST

    place("", model.module)
    assert set(where.values()) == {FIRST, SECOND}
    skipped = model.module._skip_keys_device_placement
    accelerate.dispatch_model(model.module, where, main_device=FIRST, skip_keys=skipped)
    return model


def read(folder: str) -> dict[str, Any]:
    """Errors of the identities, the last layer's output and the first layer's scores of a model that is spread."""
    model = spread(load_model(folder, proved=False))
    assert model.devices == (FIRST, SECOND) and model.device == FIRST and model.unembedding.device == SECOND
    found = prove_identities(model)
    state = model.forward(torch.tensor(IDS).to(FIRST))
    rows = model.value_rows(0)
    assert state.device == rows.device == SECOND
    scores = torch.empty(len(rows), model.facts.d_vocab, device=SECOND)
    model.scores("folded")(rows, scores)
    return {"errors": found, "state": state.tolist(), "scores": scores.tolist()}


def index(folder: str, corpus: str, out: str, options: dict[str, Any]) -> list[str]:
    """Build the index of a model that is spread; what computed."""
    for module in (build, job):
        load = module.load_model
        module.load_model = lambda *given, load=load, **named: spread(load(*given, **named))  # type: ignore[assignment]
    made = build_index(folder, Path(corpus), Path(out), options=IndexOptions(**options), run=RunOptions(workers=0))
    return list(made.manifest.same_bytes.machines)
