"""Coefficients of one cell, token by token."""

from collections.abc import Callable

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.analyses.token_coefficients import token_coefficients


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5", "mixtral", "wikilm"])
def test_they_are_those_that_the_index_stored(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], object], family: str
) -> None:
    index = index_of(family)
    model = ffmem.load_model(str(tiny_folder(family)))
    place = index.n_layers - 1
    for row in (0, index.cells.layers[place].n_cells - 1):
        cell = index.cell(index.cells.cell_id(place, row))
        found = token_coefficients(model, index, cell.cell, [one.sentence_id for one in cell.triggers])
        for one in cell.triggers:
            np.testing.assert_allclose(found[one.sentence_id][one.position], one.coefficient, rtol=1e-4, atol=1e-5)
            assert len(found[one.sentence_id]) == len(one.tokens)
            signed = found[one.sentence_id] * one.sign
            assert signed.max() <= signed[one.position] + 1e-5  # a sentence competes with its largest
