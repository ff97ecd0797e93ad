"""States around feed-forward layers, against the library's own list of states; at some positions alone; hooks leave."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import load_model
from ffmem.models.tracing import LayerTrace, trace, watch_layers, watch_stream

IDS = torch.arange(20, 41).view(3, 7)


@pytest.mark.parametrize("variant", ["gpt2", "llama", "opt", "mixtral"])
def test_layers_begin_where_the_library_says(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    states = trace(model, IDS)
    parts = [part for part in model.module.modules() if not isinstance(part, nn.Embedding)]  # whose hook checks tokens
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    with torch.inference_mode():
        own = model.module(IDS, output_hidden_states=True).hidden_states
    for number, state in enumerate(states):
        assert torch.equal(state.layer_input, own[number])
        assert state.coefficients.shape == (3, 7, model.cells.layers[number].n_cells)
        assert torch.allclose(state.residual + state.ff_update, state.layer_output, atol=1e-5)


@pytest.mark.parametrize("variant", ["gpt2", "opt", "t5"])
def test_some_positions_are_those_of_all(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    rows, columns = torch.tensor([2, 0, 1]), torch.tensor([6, 0, 3])
    for some, whole in zip(trace(model, IDS, at=(rows, columns)), trace(model, IDS), strict=True):
        for name, states in vars(some).items():
            assert torch.equal(states, getattr(whole, name)[rows, columns][None]), name


@pytest.mark.parametrize("variant", ["gemma2", "opt_post_ln", "t5"])
def test_a_layer_is_told_of_as_soon_as_it_has_run_and_who_is_told_may_run_its_norms(
    variant: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder(variant))
    expected = trace(model, IDS)
    told: list[LayerTrace] = []
    outputs: list[int] = []

    def on_layer(layer: int, states: LayerTrace) -> None:
        assert layer == len(told) and outputs == list(range(layer)), "before whoever else hooks the layer"
        told.append(states)
        layout, found = model.layout(layer), model.layer(layer)
        for path in filter(None, (layout.ff_norm, layout.post_ff_norm)):
            found.at(path)(torch.full_like(states.residual, 7.0))  # of another size than the pass has

    with torch.no_grad(), watch_layers(model, (3, 7), on_layer):
        later = [
            model.layer(layer).module.register_forward_hook(lambda _, __, ___, layer=layer: outputs.append(layer))
            for layer in range(model.facts.n_layers)
        ]
        model.forward(IDS)
    for one in later:
        one.remove()
    assert len(told) == model.facts.n_layers
    for ours, theirs in zip(told, expected, strict=True):
        assert all(torch.equal(states, getattr(theirs, name)) for name, states in vars(ours).items())


@pytest.mark.parametrize("variant", ["gpt2", "marian", "t5"])
def test_the_stream_of_each_stack_is_the_librarys_own_list(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    seen: dict[int, list[torch.Tensor]] = {}
    with torch.no_grad(), watch_stream(model, 3, lambda stack, states: seen.setdefault(stack, []).append(states)):
        model.forward(IDS, None, IDS[:, :4] if variant != "gpt2" else None)
    parts = [part for part in model.module.modules() if not isinstance(part, nn.Embedding)]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    with torch.no_grad():
        given = {} if variant == "gpt2" else {"decoder_input_ids": IDS[:, :4]}
        own = model.module(IDS, output_hidden_states=True, **given)
    lists = [own.hidden_states] if variant == "gpt2" else [own.encoder_hidden_states, own.decoder_hidden_states]
    assert sorted(seen) == list(range(len(lists)))
    for stack, states in enumerate(lists):
        n = len(states) if variant == "marian" else len(states) - 1  # the library's last one is behind the final norm
        assert len(seen[stack]) == len(states)
        for mine, theirs in zip(seen[stack][:n], states[:n], strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)
