"""Why planted cells stay at 0, what can be reached, and what became of cells between two moments."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.sparsity.silent import key_changes, reach, reasons, turned_off
from ffmem.analyses.sparsity.stretch import stretch_of


def test_planted_cells_have_their_reasons(tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index]) -> None:
    """Beyond any state; kept off by a bias far below the median; a key so short that only a state along it gets there."""
    model, text = load_model(tiny_folder("opt")), index_of("opt").text
    with torch.no_grad():
        bias, keys = model.key_bias(1), model.keys(1)
        assert bias is not None
        bias.fill_(-0.01)
        model.module.model.decoder.layers[1].final_layer_norm.bias.zero_()
        most = reach(model, 1)
        assert most is not None
        bias[0] = -1e9
        bias[1] -= most[1] * 0.98
        keys[2] *= 0.0101 / (most[2] + 0.01)
        bias[3] = 1e3
    rows = [np.array([], dtype=np.int64) for _ in model.cells.layers]
    rows[1] = np.arange(4)
    found = reasons(model, stretch_of(text, (0, text.n_sentences), 300), "auto", rows)
    assert found[1] == ["out of reach", "bias", "never reached", "active here"]
    assert [len(one) for one in found] == [4 * (place == 1) for place in range(len(rows))]


def test_a_state_along_the_key_reaches_as_far_as_is_said_and_none_farther(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("opt"))
    norm = model.module.model.decoder.layers[1].final_layer_norm
    most, keys, bias = reach(model, 1), model.keys(1), model.key_bias(1)
    assert most is not None and bias is not None
    with torch.no_grad():
        random = norm(torch.randn(5000, keys.shape[1]) * 3) @ keys.T + bias
        assert (random <= most + 1e-3).all()
        along = norm(1e4 * keys * norm.weight)
        assert ((along * keys).sum(1) + bias).numpy() == pytest.approx(most.detach().numpy(), rel=1e-3, abs=1e-3)


def test_cells_between_two_moments() -> None:
    n = 100_000
    before = np.array([2000, 2000, 2000, 500, 0, 0, 1000])
    after = np.array([50, 0, 3000, 0, 7, 0, 100])
    found = {name: rows.tolist() for name, rows in turned_off(before, after, n).items()}
    assert found == {"turned off": [0, 1], "died": [1, 3], "revived": [4], "stayed": [2, 6]}
    assert (after > 0).sum() == (before > 0).sum() - len(found["died"]) + len(found["revived"])


def test_changes_of_keys(tiny_folder: Callable[[str], Path]) -> None:
    before, after = load_model(tiny_folder("opt")), load_model(tiny_folder("opt"))
    with torch.no_grad():
        bias, keys = after.key_bias(2), after.keys(2)
        assert bias is not None
        bias[3] -= 0.5
        keys[4] *= 2
        keys[5] *= -1
    found = key_changes(before, after, 2)
    others = np.setdiff1d(np.arange(len(found["bias"])), [3, 4, 5])
    assert found["bias"][3] == pytest.approx(-0.5, abs=1e-6) and found["length"][4] == pytest.approx(np.log(2))
    assert found["drift"][5] == pytest.approx(2) and all(np.abs(one[others]).max() < 1e-9 for one in found.values())
