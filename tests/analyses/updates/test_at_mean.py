"""Cells put to their mean, against the model run with them so; and planted cells whose effects are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.updates.at_mean import CellsAtMean, Effects, last_states
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.analyses.updates.readout import Readout
from ffmem.analyses.updates.weights import Geometry, entropy_cells
from ffmem.models.transformer import Transformer
from tests.analyses.updates.test_weights import deaf_to

Folder = Callable[[str], Path]


@pytest.fixture
def positions(index_of: Callable[[str], Index]) -> Positions:
    """Of a text that every byte-level tokenizer of the tiny models reads alike."""
    index = index_of("gpt2")
    return positions_of_text(index.text, index.text.n_sentences, index.text.n_all_sentences, 60)


def unigram(model: Transformer) -> torch.Tensor:
    counts = torch.arange(1, model.facts.d_vocab + 1, dtype=torch.float64)
    return counts / counts.sum()


def cells_at_mean(model: Transformer, positions: Positions) -> CellsAtMean:
    states = last_states(model, positions, bos="no")
    return CellsAtMean(model, Readout(model), states, positions.following, unigram(model))


def measured(logits: torch.Tensor, following: int, q: torch.Tensor) -> list[float]:
    """Entropy, loss, and divergence, by their formulas."""
    p = logits.double().softmax(-1)
    return [float(-(p * p.log()).sum()), float(-p[following].log()), float((q * (q / p).log()).sum())]


def by_running(model: Transformer, positions: Positions, cell: int) -> np.ndarray:
    """The change of each measure at each position, by two runs of each prefix alone."""
    last, q = model.facts.n_layers - 1, unigram(model)
    own: list[float] = []
    with torch.no_grad():
        for number in range(len(positions)):
            ids = torch.from_numpy(positions.prefixes.tokens(number))[None]
            with model.watch_coefficients(lambda _, m: own.append(float(m[0, -1, cell])), layers=[last]):
                model.forward(ids)
    mean = float(np.mean(own))

    def to_mean(layer: int, m: torch.Tensor) -> torch.Tensor | None:
        if layer != last:
            return None
        changed = m.clone()
        changed[..., cell] = mean
        return changed

    found = []
    with torch.no_grad():
        for number in range(len(positions)):
            ids = torch.from_numpy(positions.prefixes.tokens(number))[None]
            before = model.logits(ids)
            with model.change_coefficients(to_mean):
                after = model.logits(ids)
            assert before is not None and after is not None
            following = int(positions.following[number])
            both = [measured(one[0, -1], following, q) for one in (after, before)]
            found.append(np.subtract(*both))
    return np.array(found).T


@pytest.mark.parametrize("variant", ["llama", "gpt2", "gptj", "opt_post_ln", "wikilm", "wikilm_final_norm"])
def test_total_effects_are_those_of_the_model_run_so(variant: str, tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder(variant))
    few = positions.some(10, seed=0)
    moving = last_states(model, few, bos="no").coefficients.std(0).topk(2).indices
    found = cells_at_mean(model, few).measure(moving.numpy(), ["total"])
    for place, cell in enumerate(moving.tolist()):
        expected = by_running(model, few, cell)
        assert np.abs(expected).max() > 1e-4
        assert found.change[place, 0] == pytest.approx(expected, abs=3e-5)
        assert np.isnan(found.change[place, 1:]).all()  # not asked for


def test_direct_effects_keep_the_scale(tiny_folder: Folder, positions: Positions) -> None:
    """Against RMSNorm written out, with the length of the state as it was."""
    model = load_model(tiny_folder("llama"))
    few = positions.some(12, seed=0)
    found = cells_at_mean(model, few).measure(np.array([5]), ["direct"]).of("entropy", "direct")[0]
    states = last_states(model, few, bos="no")
    norm, head = model.unembedding.final_norm, model.module.get_output_embeddings()
    m = states.coefficients[:, 5]
    with torch.no_grad():
        for number, state in enumerate(states.states):
            length = (state.square().mean() + norm.variance_epsilon).sqrt()  # type: ignore[union-attr,operator]
            entropies = [
                torch.distributions.Categorical(logits=head(norm.weight * one / length).double()).entropy()  # type: ignore[union-attr,operator]
                for one in (state + (m.mean() - m[number]) * model.values(2)[5], state)
            ]
            assert found[number] == pytest.approx(float(entropies[0] - entropies[1]), abs=1e-5)


def share_mediated(found: Effects, way: str) -> np.ndarray:
    total = np.abs(found.of("entropy", "total")).sum(1)
    return 1 - np.abs(found.of("entropy", way)).sum(1) / total  # type: ignore[arg-type]


def planted(model: Transformer) -> int:
    """A long value that no token hears, in a cell of the last layer."""
    n = torch.randn(model.facts.d_model, generator=torch.Generator().manual_seed(4))
    deaf_to(model, n)
    with torch.no_grad():
        model.values(2)[17] = 6 * n
    return 17


def test_a_planted_entropy_cell_is_named_and_acts_through_the_norm(tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder("llama"))
    cell = planted(model)
    with torch.inference_mode():
        geometry, rows = Geometry(Readout(model)), model.value_rows(2)
        named = entropy_cells(rows.norm(dim=1).numpy(), geometry.null_shares(rows), geometry.logit_variances(rows), 3)
    assert named[0] == cell
    found = cells_at_mean(model, positions).measure(np.array([cell, 3]), ["total", "direct"])
    assert np.abs(found.of("entropy", "total")[0]).mean() > 0.01
    mediated = share_mediated(found, "direct")
    assert mediated[0] == pytest.approx(1, abs=1e-3) and mediated[1] < 0.6


def test_without_a_norm_nothing_is_mediated(tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder("wikilm"))
    moving = last_states(model, positions, bos="no").coefficients.std(0).topk(2).indices.numpy()
    found = cells_at_mean(model, positions).measure(moving, ["total", "direct"])
    assert np.array_equal(found.of("entropy", "direct"), found.of("entropy", "total"))
    assert (share_mediated(found, "direct") == 0).all()
    alone = cells_at_mean(model, positions).measure(moving, ["direct"])  # computed, where it cannot be copied
    assert np.array_equal(alone.change[:, 1], found.change[:, 0])


def test_a_cell_along_the_direction_that_is_kept_does_nothing(tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder("llama"))
    with torch.inference_mode():
        direction = Geometry(Readout(model)).direction_of(unigram(model).log())
    with torch.no_grad():
        model.values(2)[4] = 3 * direction.float()
    found = cells_at_mean(model, positions).measure(np.array([4, 5]), ["total", "kept"], direction)
    kept, total = (np.abs(found.of("divergence", way)).mean(1) for way in ("kept", "total"))
    assert kept[0] < 1e-5 < 1e-3 < total[0] and kept[1] > 0.1 * total[1]


def test_a_norm_after_the_layer_scales_what_a_cell_adds(tiny_folder: Folder, positions: Positions) -> None:
    """Gemma 2: what cells add, with that norm as it was, sums to what the layer adds."""
    model = load_model(tiny_folder("gemma2"))
    few = positions.some(10, seed=0)
    states = last_states(model, few, bos="no")
    with torch.no_grad():
        added = states.coefficients @ model.value_rows(2) * states.added_scale[:, None]
        for number in range(len(few)):
            ids = torch.from_numpy(few.prefixes.tokens(number))[None]
            seen = model.module(ids, output_hidden_states=True)
            layer = model.layer(2)
            update: list[torch.Tensor] = []
            handle = layer.at(model.layout(2).post_ff_norm).register_forward_hook(
                lambda _, __, output, update=update: update.append(output[0, -1])
            )
            model.forward(ids)
            handle.remove()
            assert seen.logits.shape[1] == ids.shape[1]
            assert torch.allclose(added[number], update[0], atol=1e-4)
