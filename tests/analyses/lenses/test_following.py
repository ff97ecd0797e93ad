"""Readings of values against a plain loop over cells."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.lenses.following import read_values
from ffmem.analyses.values import NONE, targets
from tests.analyses.lenses.test_reading import chance, reader_of


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt_post_ln"])
def test_readings_are_those_of_a_plain_loop(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], family: str
) -> None:
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    reader, n = reader_of(model), max(layer.n_cells for layer in model.facts.layers)
    found = read_values(reader, index, n_cells=n)
    at = 0
    for place in range(model.facts.n_layers):
        wanted, values = targets(index, place), model.value_rows(place)
        layout = model.layout(place)
        for sign in range(wanted.following.shape[1]):
            for cell in range(n):
                following = int(wanted.following[cell, sign])
                if following == NONE:
                    continue
                v = values[cell] * (-1 if sign else 1)
                if layout.placement == "post":  # the norm behind the layer: its gain, and its centring
                    v = (v - v.mean()) * model.layer(place).at(layout.ff_norm).weight
                with torch.no_grad():
                    moved = (reader.jacobian.matrices[place] @ v)[None]
                    scores = reader.model.project(moved, reader.linear)[0]
                column = reader.of_vectors.index("jacobian")
                every = [one for one in wanted.all_following[cell, sign].tolist() if one != NONE]
                top = int(scores.argmax())
                assert (found.layer[at], found.document[at]) == (place, wanted.document[cell, sign])
                assert found.agrees[at, column] == (top == following)
                assert found.of_triggers[at, column] == pytest.approx(every.count(top) / len(every))
                above = int((scores > scores[following]).sum()) / (len(scores) - 1)
                assert found.above[at, column] == pytest.approx(above, abs=2.5 / len(scores))
                at += 1
    assert at == len(found.layer)


def test_cells_are_drawn_alike_whatever_the_lens(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    first, other = (read_values(reader_of(model), index, n_cells=5, seed=seed) for seed in (0, 1))
    again = read_values(reader_of(model), index, n_cells=5)
    assert np.array_equal(first.document, again.document) and np.array_equal(first.above, again.above)
    assert not np.array_equal(first.above[: len(other.above)], other.above[: len(first.above)])
    assert (np.bincount(first.layer) <= 5).all() and chance().initial_seed() == 0


def test_what_has_no_triggers_is_refused(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))

    def none(index: Index, place: int) -> object:
        found = targets(index, place)
        found.following[:] = NONE
        return found

    monkeypatch.setattr("ffmem.analyses.lenses.following.targets", none)
    with pytest.raises(InputError, match="none of 3 cells of each layer"):
        read_values(reader_of(model), index, n_cells=3)
