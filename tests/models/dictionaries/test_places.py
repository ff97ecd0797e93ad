"""The states that dictionaries read and write, against hooks of the test's own on the Hugging Face modules."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from ffmem import InputError, load_model
from ffmem.dictionaries import Attachment, StatesAt
from ffmem.models.attached import attach
from ffmem.models.transformer import Transformer
from tests.families import D_MODEL
from tests.models.dictionaries.making import gemma_scope, mirror

IDS = torch.tensor([[5, 6, 7, 8, 9]])
LAYER = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gemma_scope(tmp_path_factory.mktemp("tc"), **mirror(D_MODEL), threshold=torch.zeros(2 * D_MODEL))


def read(model: Transformer, folder: Path, place: str) -> Tensor:
    """What the mirror reads at a place, from its coefficients."""
    attach(model, [Attachment.parse(f"L{LAYER}=mm@{place}:{folder}")])
    seen: list[Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: seen.append(m.clone()), layers={model.facts.n_layers}):
        model.forward(IDS)
    return seen[0][..., :D_MODEL] - seen[0][..., D_MODEL:]


def expected(model: Transformer) -> dict[str, Tensor]:
    """The same states, by hooks on Gemma 2's and GPT-2's own modules."""
    layer, seen = model.layer(LAYER).module, {}
    norm = layer.pre_feedforward_layernorm if hasattr(layer, "pre_feedforward_layernorm") else layer.ln_2
    last = layer.post_feedforward_layernorm if hasattr(layer, "post_feedforward_layernorm") else layer.mlp

    def first(one: Tensor | tuple[Tensor, ...]) -> Tensor:
        return one if isinstance(one, Tensor) else one[0]

    handles = [
        layer.register_forward_pre_hook(lambda _, given: seen.update({"resid-pre": given[0]})),
        layer.register_forward_hook(lambda _, __, out: seen.update({"resid-post": first(out)})),
        norm.register_forward_hook(lambda _, given, out: seen.update({"resid-mid": given[0], "mlp-input": out})),
        layer.mlp.register_forward_hook(lambda _, __, out: seen.update({"mlp-output": out})),
        last.register_forward_hook(lambda _, __, out: seen.update({"update": out})),
    ]
    with torch.no_grad():
        model.module(IDS)
    for handle in handles:
        handle.remove()
    mid = seen["resid-mid"]
    if hasattr(layer, "ln_2"):
        mid = mid - mid.mean(-1, keepdim=True)
    seen["normalized"] = mid / (mid.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return seen


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_each_place_is_where_its_name_says(family: str, folder: Path, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder(family)))
    wanted = expected(model)
    assert set(wanted) == set(get_args(StatesAt))
    for place, states in wanted.items():
        torch.testing.assert_close(read(model, folder, place), states, rtol=1e-3, atol=1e-4, msg=place)


def test_places_that_a_model_has_not_are_refused(folder: Path, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder("bert")))
    for place in ("resid-mid", "normalized", "resid-post"):
        with pytest.raises(InputError, match=f"needs the states '{place}', which bert does not have"):
            attach(model, [Attachment.parse(f"L{LAYER}=mm@{place}:{folder}")])
    assert model.dictionaries == ()
