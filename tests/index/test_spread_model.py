"""A model whose layers are on two devices, by accelerate's own hooks on cards that are not there: see fixtures/cards.py."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ffmem import IndexOptions, RunOptions, build_index, load_model
from ffmem.index import build, machine
from ffmem.index.scan import job, promoted
from ffmem.models.identity_proof import prove_identities
from ffmem.models.transformer import Transformer
from ffmem.store.files import map_arrays
from tests.fixtures.cards import KIND, cards

FIRST, SECOND = torch.device(KIND, 0), torch.device(KIND, 1)


def spread(model: Transformer) -> Transformer:
    """The first half of its layers with what stands before them on one card, all else on another."""
    accelerate = pytest.importorskip("accelerate", reason="the extra quantized is not installed")
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


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "mixtral"])
def test_proof_identities_and_scores_hold_across_devices(family: str, tiny_folder: Callable[[str], Path]) -> None:
    whole = load_model(tiny_folder(family))
    with cards():
        model = spread(load_model(tiny_folder(family), proved=False))
        assert model.devices == (FIRST, SECOND) and model.device == FIRST and model.unembedding.device == SECOND
        found = prove_identities(model)
        ids = torch.tensor([[1, 2, 3, 4]]).to(FIRST)
        state = model.forward(ids)
        assert state.device == SECOND
        rows = model.value_rows(0)
        assert rows.device == SECOND
        scores = torch.empty(len(rows), model.facts.d_vocab, device=SECOND)
        model.scores("folded")(rows, scores)
        scores, state = scores.cpu(), state.cpu()
    assert max(found.values()) < 1e-5 and found.keys() == whole.identity_errors.keys()
    expected = torch.empty(len(rows), model.facts.d_vocab)
    whole.scores("folded")(whole.value_rows(0), expected)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(state, whole.forward(torch.tensor([[1, 2, 3, 4]])), rtol=1e-4, atol=1e-5)


def test_an_index_across_devices_is_that_of_the_whole_model_to_rounding(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, run = IndexOptions(top=3, max_sentences=20, cells="L0-L1,L2.3,L3"), RunOptions(workers=0)
    if load_model(tiny_folder("llama"), proved=False).facts.n_layers < 4:
        options = IndexOptions(top=3, max_sentences=20, cells="L0,L1.0-5")
    whole = build_index(tiny_folder("llama"), corpus, tmp_path / "whole", options=options, run=run)
    for module in (build, job):
        load = module.load_model
        monkeypatch.setattr(module, "load_model", lambda *given, load=load, **named: spread(load(*given, **named)))
    monkeypatch.setattr(machine.torch.cuda, "get_device_name", lambda where: f"card {where.index}")
    monkeypatch.setattr(promoted, "_largest", lambda keys, k: keys.topk(k, dim=1).values)  # as it is on a GPU
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # it has no views of tensors that hold others
    with cards():
        found = build_index(tiny_folder("llama"), corpus, tmp_path / "spread", options=options, run=run)
    assert found.manifest.same_bytes.machines[0].startswith("card 0 and card 1, torch ")
    files = sorted((found.folder / "index" / "layers").iterdir())
    assert len(files) == found.n_layers
    for file in files:
        one, other = map_arrays(file), map_arrays(whole.folder / "index" / "layers" / file.name)
        assert set(one) == set(other)
        for name in one:
            if one[name].dtype.kind == "f":
                np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(one["n_active"], other["n_active"])
