"""The way from the last state to scores, against the model's own; and the sums that a study of updates stands on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.updates.readout import Readout, covariance_of, stream_bias, stream_values
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
LINEAR = ("gpt2", "llama", "gemma2", "gptj", "phi", "opt", "opt_post_ln", "mixtral")
IDS = torch.tensor([[5, 9, 30, 31, 77]])


def last_layer(model: Transformer) -> tuple[LayerTrace, torch.Tensor]:
    """The states of the last layer, and the model's own logits."""
    logits = model.logits(IDS)
    assert logits is not None
    return trace(model, IDS)[-1], logits[0].detach()


@pytest.mark.parametrize("variant", [*LINEAR, "wikilm", "wikilm_final_norm"])
def test_scores_are_the_models_own(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    readout = Readout(model)
    state, own = last_layer(model)
    with torch.inference_mode():
        sums = state.residual[0] + state.ff_update[0]
        found = readout.scores(sums, readout.scale(sums))
    assert torch.allclose(found, own, atol=2e-4), (found - own).abs().max()


@pytest.mark.parametrize("variant", LINEAR)
def test_sub_updates_bias_and_stream_add_up_to_the_scores(variant: str, tiny_folder: Folder) -> None:
    """At the scale of the whole state each adds to a score what it would add alone: direct effects are additive."""
    model = load_model(tiny_folder(variant))
    readout, last = Readout(model), model.facts.n_layers - 1
    state, own = last_layer(model)
    with torch.inference_mode():
        path = model.layout(last).post_ff_norm
        sandwich = model.unembedding.freeze(model.layer(last).at(path), state.ff_output).scale[0, -1] if path else 1.0
        sums = state.residual[0] + state.ff_update[0]
        scale = readout.scale(sums)[-1]
        post = model.layout(last).placement == "post"
        of_cells = state.coefficients[0, -1, :, None] * stream_values(model, last) * sandwich
        bias = stream_bias(model, last) * sandwich
        if post:  # the norm after the sum is in U' as it is in them, so raw rows are what U' is multiplied with
            of_cells = state.coefficients[0, -1, :, None] * model.values(last)
            bias = model.value_bias(last)
        parts = torch.cat([of_cells, bias[None], state.residual[0, -1][None]])
        total = (readout.products(parts) * scale).sum(0)[None]
        zero = torch.zeros(1, model.facts.d_model)
        found = readout.scores(zero, torch.ones(1), total)[0]
    assert torch.allclose(found, own[-1], atol=3e-4), (found - own[-1]).abs().max()


@pytest.mark.parametrize("variant", ["llama", "gemma2", "opt_post_ln", "gpt2"])
def test_values_reach_the_next_state_up_to_a_scale(variant: str, tiny_folder: Folder) -> None:
    """What a cell's removal takes from the next state, with the norms on its way kept, points along its value."""
    model = load_model(tiny_folder(variant))
    state = trace(model, IDS)[0]
    layout, layer = model.layout(0), model.layer(0)
    with torch.inference_mode():
        rows = stream_values(model, 0)
        path = layout.ff_norm if layout.placement == "post" else layout.post_ff_norm
        for cell in (0, 7, 31):
            part = model.values(0)[cell]
            if path:
                inside = (state.residual + state.ff_output if layout.placement == "post" else state.ff_output)[0, -1:]
                part = model.unembedding.freeze(layer.at(path), inside)(part[None].double())[0].float()
            along = torch.nn.functional.cosine_similarity(part, rows[cell], dim=0)
            assert float(along) == pytest.approx(1, abs=1e-5)


def test_spreads_are_standard_deviations_over_the_vocabulary(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    readout = Readout(model)
    with torch.inference_mode():
        rows = stream_values(model, 1)
        scores = rows @ model.projection_matrix("folded").T
        assert torch.allclose(readout.spreads(rows).float(), scores.std(1, correction=0), rtol=1e-4)
        centred = readout.centred_rows(torch.tensor([3, 8])) @ rows.T
        assert torch.allclose(centred, (scores - scores.mean(1, keepdim=True))[:, [3, 8]].T, atol=1e-5)


def test_a_covariance_of_more_rows_than_are_read_at_once() -> None:
    rows = torch.randn(9000, 3, generator=torch.Generator().manual_seed(0)) + 5
    assert torch.allclose(covariance_of(rows), torch.cov(rows.double().T, correction=0), atol=1e-9)
