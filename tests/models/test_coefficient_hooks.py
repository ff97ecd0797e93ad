"""Coefficients read and changed on their way: against plain hooks, and against models whose weights were changed instead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from ffmem.models.transformer import Transformer

Loaded = Callable[[str], Transformer]
IDS = torch.randint(5, 100, (3, 7), generator=torch.Generator().manual_seed(0))
VARIANTS = ["gpt2", "opt", "llama", "bloom", "bert", "mixtral", "t5"]


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest, loaded: Loaded) -> Transformer:
    return loaded(request.param)


def final_state(model: Transformer) -> torch.Tensor:
    with torch.no_grad():
        return model.forward(IDS, None if model.facts.causal else torch.ones_like(IDS))


def watched(model: Transformer, **more: object) -> dict[int, torch.Tensor]:
    found: dict[int, torch.Tensor] = {}
    with model.watch_coefficients(lambda place, m: found.update({place: m.clone()}), **more):  # type: ignore[arg-type]
        final_state(model)
    return found


@pytest.mark.parametrize(
    ("variant", "path"), [("gpt2", "mlp.c_proj"), ("opt", "fc2"), ("llama", "mlp.down_proj"), ("bert", "output.dense")]
)
def test_they_are_what_the_second_matrix_is_given(variant: str, path: str, loaded: Loaded) -> None:
    model = loaded(variant)
    caught: list[torch.Tensor] = []
    handles = [
        model.layer(place).module.get_submodule(path).register_forward_pre_hook(
            lambda _, inputs: caught.append(inputs[0].reshape(3, 7, -1).clone())
        )
        for place in range(3)
    ]  # fmt: skip
    final_state(model)
    for handle in handles:
        handle.remove()
    found = watched(model)
    assert list(found) == [0, 1, 2]
    for place, expected in enumerate(caught):
        assert torch.equal(found[place], expected)


def test_a_decoder_reports_the_positions_of_the_tokens_alone(loaded: Loaded) -> None:
    model = loaded("t5")
    caught: list[torch.Tensor] = []
    second = model.layer(4).module.get_submodule("layer.2.DenseReluDense.wo")
    handle = second.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].clone()))
    final_state(model)
    handle.remove()
    assert caught[0].shape[1] == 8  # with the start token
    assert torch.equal(watched(model)[4], caught[0][:, 1:])


@contextmanager
def values_times(model: Transformer, factor: float) -> Iterator[None]:
    """In the weights themselves, for a while."""
    weights = []
    for place in range(model.facts.n_layers):
        layer = model.layer(place)
        weights.append(layer.at("mlp.experts").down_proj if layer.cells.n_experts else layer.output_module.weight)
    before = [weight.clone() for weight in weights]
    for weight in weights:
        weight.mul_(factor)
    yield
    for weight, own in zip(weights, before, strict=True):
        weight.copy_(own)


@pytest.mark.parametrize("factor", [0.0, -2.5])
def test_all_coefficients_times_a_number_are_all_values_times_it(model: Transformer, factor: float) -> None:
    before = final_state(model)
    seen: list[tuple[int, tuple[int, ...]]] = []

    def change(place: int, m: torch.Tensor) -> torch.Tensor:
        seen.append((place, tuple(m.shape)))
        return m * factor

    with model.change_coefficients(change):
        changed = final_state(model)
    assert seen == [(place, (3, 7, cells.n_cells)) for place, cells in enumerate(model.cells.layers)]
    with values_times(model, factor):
        expected = final_state(model)
    if any(cells.stack == "dec" for cells in model.cells.layers):
        # the start token's coefficients stay, and later tokens look at it: what the encoder gives is all that is the same
        assert not torch.allclose(changed, before, atol=1e-3)
        return
    assert torch.allclose(changed, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(changed, before, atol=1e-2)


def test_one_layer_of_a_decoder_is_changed_at_the_tokens_alone(loaded: Loaded) -> None:
    """The update of the last layer by hand: no value at the tokens, the start token's own kept."""
    model = loaded("t5")
    outputs: list[torch.Tensor] = []
    second = model.layer(5).module.get_submodule("layer.2.DenseReluDense.wo")
    handle = second.register_forward_hook(lambda _, __, y: outputs.append(y.clone()))
    final_state(model)
    with model.change_coefficients(lambda place, m: torch.zeros_like(m) if place == 5 else None):
        final_state(model)
    handle.remove()
    assert torch.allclose(outputs[1][:, :1], outputs[0][:, :1], atol=1e-6)
    assert outputs[0][:, 1:].abs().max() > 1e-3 and outputs[1][:, 1:].abs().max() == 0


def test_none_changes_no_bit_and_nothing_stays(model: Transformer) -> None:
    before = final_state(model)
    with model.change_coefficients(lambda _place, _m: None):
        assert torch.equal(final_state(model), before)
    with pytest.raises(ZeroDivisionError), model.change_coefficients(lambda _place, _m: 1 / 0):  # type: ignore[arg-type,return-value]
        final_state(model)
    assert torch.equal(final_state(model), before)
    hooks = [part for part in model.module.modules() if part._forward_pre_hooks or part._forward_hooks]
    assert not [part for part in hooks if not isinstance(part, nn.Embedding)]  # whose hook checks tokens


def test_some_layers_and_two_listeners_at_once(model: Transformer) -> None:
    whole = watched(model)
    last = model.facts.n_layers - 1
    some: dict[int, torch.Tensor] = {}
    both: dict[int, torch.Tensor] = {}
    if any(cells.n_experts for cells in model.cells.layers):
        return  # a mixture is run here in place of its own loop: one listener at a time
    with (
        model.watch_coefficients(lambda place, m: some.update({place: m.clone()}), layers={0, last}),
        model.watch_coefficients(lambda place, m: both.update({place: m.clone()})),
    ):
        final_state(model)
    assert list(some) == [0, last] and list(both) == list(whole)
    assert all(torch.equal(some[place], whole[place]) for place in some)


def test_a_model_that_is_called_by_position_is_watched_too(loaded: Loaded) -> None:
    model = loaded("gpt2")
    found: list[torch.Tensor] = []
    with torch.no_grad(), model.watch_coefficients(lambda _, m: found.append(m.clone())):
        model.module.transformer(IDS)
    assert [one.shape for one in found] == [(3, 7, 48)] * 3
    assert all(torch.equal(one, other) for one, other in zip(found, watched(model).values(), strict=True))


def test_experts_come_one_by_one_only_where_there_are_any(loaded: Loaded) -> None:
    model = loaded("llama")
    experts: list[int] = []
    found = watched(model, on_expert=lambda place, *_: experts.append(place))
    assert experts == [] and list(found) == [0, 1, 2]
