"""Models that have learned nothing, or have their memories mixed up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import InputError, load_model
from ffmem.models.controls import as_control, split_control
from ffmem.models.transformer import Transformer
from tests.fixtures.models import FAMILIES


def parameters(model: Transformer) -> dict[str, torch.Tensor]:
    return dict(model.module.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_model_has_each_matrix_entries_in_another_order(
    family: str, tiny_folder: Callable[[str], Path]
) -> None:
    trained, untrained = load_model(tiny_folder(family)), load_model(f"untrained:{tiny_folder(family)}")
    before, after = parameters(trained), parameters(untrained)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert torch.equal(weight.flatten().sort().values, after[name].flatten().sort().values), name
    moved = [name for name, weight in before.items() if weight.numel() > 20 and torch.equal(weight, after[name])]
    assert not [name for name in moved if before[name].unique().numel() > 2]
    assert untrained.facts.name == f"untrained:{trained.facts.name}"
    assert untrained.weights_hash() != trained.weights_hash()
    assert untrained.weights_hash() == load_model(f"untrained:{tiny_folder(family)}").weights_hash()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shuffled_model_has_each_layer_of_values_in_another_order_and_all_else_as_it_was(
    family: str, tiny_folder: Callable[[str], Path]
) -> None:
    trained, shuffled = load_model(tiny_folder(family)), load_model(f"shuffled:{tiny_folder(family)}")
    for layer, cells in enumerate(trained.cells.layers):
        before, after = trained.values(layer), shuffled.values(layer)
        assert not torch.equal(before, after)
        for first in range(0, cells.n_cells, cells.d_ff):  # of each expert
            rows = [{tuple(row) for row in one[first : first + cells.d_ff].tolist()} for one in (before, after)]
            assert rows[0] == rows[1]
        gates = trained.gate_keys if trained.facts.gated else trained.keys
        again = shuffled.gate_keys if trained.facts.gated else shuffled.keys
        assert torch.equal(gates(layer), again(layer))
    after_all = parameters(shuffled)
    changed = {name for name, one in parameters(trained).items() if not torch.equal(one, after_all[name])}
    assert len(changed) == len(trained.cells.layers)


def test_the_file_of_a_model_is_never_written_to(tiny_folder: Callable[[str], Path]) -> None:
    before = load_model(tiny_folder("gpt2")).weights_hash()
    for kind in ("untrained", "shuffled"):
        load_model(f"{kind}:{tiny_folder('gpt2')}")
    assert load_model(tiny_folder("gpt2")).weights_hash() == before


def test_a_square_value_matrix_is_shuffled_by_rows(tiny_folder: Callable[[str], Path]) -> None:
    """Where cells and d_model are as many, no shape tells rows from columns."""
    model = load_model(tiny_folder("llama"))
    layer = model.layer(0)
    d = model.facts.d_model
    layer.output_module.weight = nn.Parameter(
        torch.arange(d * d, dtype=torch.float32).reshape(d, d), requires_grad=False
    )
    before = {tuple(row) for row in layer.values().tolist()}
    from ffmem.models.controls import _shuffle_values

    _shuffle_values(layer, 0)
    assert {tuple(row) for row in layer.values().tolist()} == before


def test_tied_matrices_stay_tied(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(f"untrained:{tiny_folder('gpt2')}")
    assert model.module.lm_head.weight is model.module.transformer.wte.weight


def test_packed_weights_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    packed = nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    model.module.register_parameter("packed", packed)
    with pytest.raises(InputError, match=r"the weights of .* are packed, so that untrained:.* cannot be made of them"):
        as_control(model, "untrained")


def test_what_stands_before_a_source_says_which_control() -> None:
    assert split_control("untrained:reference") == ("untrained", "reference")
    assert split_control("shuffled:fairseq:folder") == ("shuffled", "fairseq:folder")
    assert split_control("other:reference") == (None, "other:reference")
    assert split_control("reference") == (None, "reference")


def test_an_unknown_model_is_refused_by_its_own_name() -> None:
    with pytest.raises(InputError, match="nothing-of-that-name"):
        load_model("untrained:./nothing-of-that-name.gguf")
