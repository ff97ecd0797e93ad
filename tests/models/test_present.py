"""Weights that are brought where they are read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.models.present import device_of, forget, is_offloaded, is_plain, parameters_of, present
from ffmem.models.transformer import Transformer

pytest.importorskip("accelerate", reason="the extra quantized is not installed")


def away(folder: Path) -> Transformer:
    """A model with most of its weights left on the disk."""
    return load_model(folder, device_map="cpu=1000B", proved=False)


def test_weights_are_there_while_they_are_read_and_what_was_taken_stays(tiny_folder: Callable[[str], Path]) -> None:
    whole, model = load_model(tiny_folder("llama"), proved=False), away(tiny_folder("llama"))
    assert is_offloaded(model.module) and not is_offloaded(whole.module)
    norm = model.layer(0).module.get_submodule("input_layernorm")
    assert norm.weight.device.type == "meta"
    with present(norm):
        taken = norm.weight
    assert norm.weight.device.type == "meta"
    assert torch.equal(taken, whole.layer(0).module.get_submodule("input_layernorm").weight)
    with present(None), present(whole.module):
        pass
    with present(model.layer(0).module, alone=True):  # it has none of its own
        assert norm.weight.device.type == "meta"


def test_it_is_taken_away_after_an_error(tiny_folder: Callable[[str], Path]) -> None:
    norm = away(tiny_folder("llama")).layer(0).module.get_submodule("input_layernorm")
    with pytest.raises(ZeroDivisionError), present(norm):
        _ = 1 / 0
    assert norm.weight.device.type == "meta"


def test_all_parameters_are_seen_under_the_names_that_they_have_in_place(tiny_folder: Callable[[str], Path]) -> None:
    whole, model = load_model(tiny_folder("gpt2"), proved=False), away(tiny_folder("gpt2"))  # its embedding is tied
    expected = dict(sorted(whole.module.named_parameters()))
    found = {name: one.clone() for name, one in parameters_of(model.module)}
    assert list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in found)
    assert device_of(model.module) == torch.device("cpu") == model.device
    model.release()
    assert all(one.device.type == "meta" for one in model.module.parameters())


def test_hooks_let_go_of_what_they_keep(tiny_folder: Callable[[str], Path]) -> None:
    model = away(tiny_folder("llama"))
    forget(model.module)
    hook = model.layer(0).module.get_submodule("input_layernorm")._hf_hook
    assert {one.weights_map for one in getattr(hook, "hooks", [hook])} == {None}


def test_what_brings_a_class_of_its_own_is_not_plain() -> None:
    class Packed(torch.nn.Parameter):
        pass

    assert is_plain(torch.nn.Parameter(torch.ones(2)))
    assert not is_plain(Packed(torch.ones(2))) and not is_plain(torch.ones(2))
