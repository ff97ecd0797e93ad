"""Effects against a hook of plain torch on the model's own call, and a planted model in which the Jacobian says all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index
from ffmem.analyses.lenses.effects import KINDS, _scale, measure_effects
from ffmem.analyses.lenses.jacobian import average_jacobian
from ffmem.analyses.lenses.reading import CONTROLS, Reader
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.updates.readout import stream_bias, stream_values
from ffmem.models.inputs import as_row
from ffmem.models.last_position import LastPosition
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from tests.analyses.lenses.test_states import some_positions

DOWN = {
    "llama": "model.layers.{}.mlp.down_proj",
    "gpt2": "transformer.h.{}.mlp.c_proj",
    "wikilm": "model.layers.{}.fc2",
}


@pytest.mark.parametrize("family", ["llama", "wikilm"])
def test_effects_are_what_the_models_own_call_does_without_the_cell(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], family: str
) -> None:
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    bos = index.manifest.options.bos
    asked = some_positions(index, 4)
    reader = Reader(model, average_jacobian(model, asked.prefixes.sentences[:2], bos=bos))
    found = measure_effects(reader, Continued(asked.prefixes, asked.following), bos=bos)
    before, _ = model.special_tokens(bos)
    for number in range(len(asked)):
        ids = as_row(model, [*before, *asked.prefixes.tokens(number).tolist()])
        states = trace(model, ids)
        for place in range(model.facts.n_layers):
            m, v = states[place].coefficients[0, -1], model.values(place)
            cell = int((m.abs() * v.norm(dim=1)).argmax())
            effect = _logits(model, ids) - _logits(model, ids, DOWN[family].format(place), m[cell] * v[cell])
            for column, lens in enumerate(reader.of_vectors):
                if lens in CONTROLS:
                    continue
                written, last = m[cell] * v[cell], states[-1].layer_output[0, -1]
                with torch.no_grad():
                    if lens == "raw" or lens == "folded":
                        read = model.project(written[None], lens)[0]
                    else:
                        written = reader.jacobian.matrices[place] @ written if lens == "jacobian" else written
                        both = torch.stack([last, last - written])
                        with_it, without = model.project(both, model.unembedding.own_projection)
                        read = with_it - without
                expected = float(np.corrcoef(read.numpy(), effect.numpy())[0, 1])
                assert found.correlation[number, place, 0, column] == pytest.approx(expected, abs=2e-3)
            assert found.size[number, place, 0] == pytest.approx(float(effect.std(correction=0)), rel=1e-2)
    assert found.same.shape == (len(asked), model.facts.n_layers, len(KINDS), len(reader.of_vectors))


def _logits(model: Transformer, ids: torch.Tensor, path: str = "", removed: torch.Tensor | None = None) -> Any:
    """The model's own at the last position, with something taken off what one module gives there."""

    def take_off(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, -1] -= 0.0 if removed is None else removed
        return changed

    handle = None if removed is None else model.module.get_submodule(path).register_forward_hook(take_off)
    with torch.no_grad():
        found = model.module(ids).logits[0, -1].float()
    if handle is not None:
        handle.remove()
    return found


def test_where_layers_above_turn_the_stream_only_the_jacobian_tells_the_effect(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index]
) -> None:
    """The last layer is made a rotation of the stream: what lies below it is read right through J, and wrong without."""
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    d, end = model.facts.d_model, model.facts.n_layers - 1
    turn, _ = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(3)))

    def rotate(_: Any, arguments: Any, output: Any) -> Any:
        state = arguments[0] @ turn.T
        return state if isinstance(output, torch.Tensor) else (state, *output[1:])

    handle = model.layer(end).module.register_forward_hook(rotate)
    try:
        asked, bos = some_positions(index, 6), index.manifest.options.bos
        reader = Reader(model, average_jacobian(model, asked.prefixes.sentences[:2], bos=bos, reach="later"))
        found = measure_effects(reader, Continued(asked.prefixes, asked.following), bos=bos)
    finally:
        handle.remove()
    torch.testing.assert_close(reader.jacobian.matrices[end - 1], turn, rtol=1e-3, atol=1e-4)
    means = dict(zip(reader.of_vectors, found.correlation[:, end - 1, 0].mean(0).tolist(), strict=True))
    assert means["jacobian"] > 0.99 and max(abs(means[lens]) for lens in ("raw", "folded", "random")) < 0.5


@pytest.mark.parametrize("family", ["gpt2", "opt_post_ln"])
def test_in_the_last_layer_little_is_left_to_chance(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], family: str
) -> None:
    """Exact without a norm behind the layer, and with one to first order: so of a cell that is small enough."""
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder(family)))
    asked = some_positions(index, 4)
    with torch.no_grad():
        for values in model.layer(model.facts.n_layers - 1).values_in_place():
            values.mul_(0.05)
    reader = Reader(model, average_jacobian(model, asked.prefixes.sentences[:1], bos="no"))
    found = measure_effects(reader, Continued(asked.prefixes, asked.following), bos="no")
    column = reader.of_vectors.index("jacobian")
    assert found.correlation[:, -1, 0, column].min() > 0.99
    last = LastPosition(model, as_row(model, asked.prefixes.tokens(0).tolist()))
    place = model.facts.n_layers - 1
    m, rows = last.states[place].coefficients.float(), stream_values(model, place)
    cell = int((m.abs() * rows.norm(dim=1)).argmax())
    removed = torch.stack([torch.zeros(model.facts.d_model), m[cell] * model.values(place)[cell]])
    states = last.final_states(torch.tensor([place, place]), removed)
    written = m[cell] * rows[cell] * _scale(model, place, last.states[place])
    assert float((states[0] - states[1] - written).norm() / written.norm()) < 0.1  # the size of it, too


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])
def test_what_is_written_adds_up_to_the_update(tiny_folder: Callable[[str], Path], family: str) -> None:
    """Also where a norm stands behind a layer's output."""
    model = ffmem.load_model(str(tiny_folder(family)))
    last = LastPosition(model, torch.tensor([[5, 9, 14, 7]]))
    for place, state in enumerate(last.states):
        scale = _scale(model, place, state)
        written = (state.coefficients @ stream_values(model, place) + stream_bias(model, place)) * scale
        torch.testing.assert_close(written, state.ff_update, rtol=1e-3, atol=1e-4)
