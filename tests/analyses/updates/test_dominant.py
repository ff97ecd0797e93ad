"""Sub-updates against a loop over positions, layers and cells that computes them one by one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.updates.dominant import N_DOMINANT, STATS, TOKENS, SubUpdates, measure_sub_updates
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]


@pytest.fixture
def positions(index_of: Callable[[str], Index]) -> Positions:
    index = index_of("gpt2")
    return positions_of_text(index.text, index.text.n_sentences, index.text.n_all_sentences, 60).some(9, seed=0)


def unembedding(model: Transformer) -> np.ndarray:
    """With the norm's gain and centring, a row a token, as the module has them."""
    if (
        model.facts.family == "wikilm"
    ):  # each band's words less their mean, and all less that of the words and classes of the head
        words, classes = model.module.model.words, model.module.softmax.classes
        head = torch.cat([words.bands[0].embedding.weight, classes.weight]).mean(0)
        rows = torch.stack([model.module.direction(token) - head for token in range(model.facts.d_vocab)])
        for (start, end), band in zip(words.edges[1:], words.bands[1:], strict=True):
            rows[start:end] -= band.projection.weight.double() @ band.embedding.weight.double().mean(0)
        return rows.detach().numpy()
    rows = model.module.get_output_embeddings().weight.detach().double().numpy()
    norm = model.unembedding.final_norm
    assert norm is not None
    rows = rows * norm.weight.detach().double().numpy()
    return rows - rows.mean(1, keepdims=True) if model.facts.norm == "layernorm" else rows


def of_run(model: Transformer, ids: torch.Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Coefficients, and scores under r and o, of each layer at the last position."""
    m: list[np.ndarray] = []
    added: list[torch.Tensor] = []
    handles = [
        model.layer(layer).output_module.register_forward_hook(
            lambda _, __, out: added.append(out.reshape(-1, out.shape[-1])[-1])
        )
        for layer in range(model.facts.n_layers)
    ]
    with torch.no_grad(), model.watch_coefficients(lambda _, one: m.append(one[0, -1].double().numpy())):
        hidden = model.module(ids, output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    head, norm = model.unembedding, model.unembedding.final_norm
    scores = []
    with torch.no_grad():
        for layer in range(model.facts.n_layers):
            if layer < model.facts.n_layers - 1:
                o = hidden[layer + 1][0, -1]
                both = torch.stack([o - added[layer], o])
                normed = both if norm is None else norm(both)
                scores.append(head.of_normed(normed).double().numpy())
            else:  # the last hidden state is after the norm
                scores.append(np.empty(0))
    return m, scores


@pytest.mark.parametrize("variant", ["llama", "gpt2", "wikilm"])
def test_equals_a_loop(variant: str, tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder(variant))
    found = measure_sub_updates(model, positions, bos="no", seed=4)
    U = unembedding(model)
    centred = U - U.mean(0)
    for number in range(len(positions)):
        ids = torch.from_numpy(positions.prefixes.tokens(number))[None]
        coefficients, scores = of_run(model, ids)
        logits = model.logits(ids)
        assert logits is not None
        prediction = int(logits[0, -1].argmax())
        assert found.prediction[number] == prediction
        for layer in range(model.facts.n_layers - 1):
            of_r, of_o = scores[layer]
            assert found.residual_top[number, layer] == of_r.argmax()
            assert found.output_top[number, layer] == of_o.argmax()
            above = set(np.flatnonzero(of_r > of_r[prediction])) - {prediction}
            assert found.n_above[number, layer] == len(above)
            assert found.n_fallen[number, layer] == len(above - set(np.flatnonzero(of_o > of_o[prediction])))
            values = model.values(layer).detach().double().numpy()
            m = coefficients[layer]
            sizes = np.abs(m) * np.linalg.norm(values, axis=1)
            ten = [cell for cell in np.argsort(-sizes)[:N_DOMINANT].tolist() if m[cell]]
            expected = [(cell + 1) * int(np.sign(m[cell])) for cell in ten]
            assert found.dominant[number, layer, : len(ten)].tolist() == expected
            assert not found.dominant[number, layer, len(ten) :].any()
            assert found.of_lengths[number, layer] == pytest.approx(sizes[ten].sum() / sizes.sum(), rel=1e-4)
            largest = sum(m[cell] * values[cell] for cell in ten)
            y = m @ values + model.value_bias(layer).detach().double().numpy()
            assert found.of_output[number, layer] == pytest.approx(largest @ y / (y @ y), rel=1e-3, abs=1e-4)
            for place, token in enumerate((prediction, of_o.argmax(), of_r.argmax())):
                z = [centred[token] @ values[cell] / (U @ values[cell]).std() * np.sign(m[cell]) for cell in ten]
                stats = [np.mean(z), *(np.mean([hit(one) for one in z]) for hit in HITS)]
                assert found.stats[number, layer, place, 0] == pytest.approx(np.array(stats), abs=2e-4)


HITS: list[Callable[[float], bool]] = [lambda z: z > 0, lambda z: z > 1, lambda z: z < -1]


def test_random_cells_are_of_the_layer_and_drawn_by_the_seed(tiny_folder: Folder, positions: Positions) -> None:
    model = load_model(tiny_folder("llama"))
    one, again, other = (measure_sub_updates(model, positions, bos="no", seed=seed) for seed in (1, 1, 2))
    random = [found.stat("score", "next", random=True) for found in (one, again, other)]
    assert np.array_equal(random[0], random[1]) and not np.allclose(random[0], random[2])
    assert np.array_equal(one.stat("score", "next"), other.stat("score", "next"))


def test_where_predictions_settle() -> None:
    tops = np.array([[1, 2, 2], [3, 3, 3], [3, 1, 3]])
    empty = np.zeros((3, 3))
    stats = np.zeros((3, 3, len(TOKENS), 2, len(STATS)))
    dominant = np.zeros((3, 3, 4), dtype=np.int32)
    dominant[0, 0] = [4, -2, -3, 0]
    before = np.array([[1, 1, 2], [0, 3, 3], [3, 3, 1]])
    found = SubUpdates(before, tops, empty, empty, empty, empty, dominant, stats, np.arange(3))
    assert found.saturation_layer.tolist() == [1, 0, 2] and found.prediction.tolist() == [2, 3, 3]
    assert found.changes.tolist() == [[False, True, False], [True, False, False], [False, True, True]]
    assert found.negative[0, 0] == pytest.approx(2 / 3) and np.isnan(found.negative[1, 1])
