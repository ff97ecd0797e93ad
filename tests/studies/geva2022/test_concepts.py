"""Pairs of top tokens, added up by layer; and what a table shows of them."""

import numpy as np
import pytest

import ffmem
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2022.concepts import EXPERIMENT, ConceptsResult, _drawn
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, Results


def test_shares_are_those_of_all_pairs_of_a_layer(gated: tuple[Findings, Report]) -> None:
    findings, report = gated
    result = findings.get(EXPERIMENT, ConceptsResult)
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    for place, layer in enumerate(result.layers):
        own = arrays["pairs"][arrays["layer"] == place]
        assert layer.n_cells == len(own) == 10
        for kind, name in enumerate(("values", "permuted", "tokens")):
            expected = own[:, kind, 0].sum() / own[:, kind, 1].sum()
            assert getattr(layer, name).value == pytest.approx(expected)
    told = [one.ours for name, one in report.numbers if name == "Concepts"]
    assert told[0] == pytest.approx(np.mean([layer.values.value for layer in result.layers]))


def test_examples_are_dominant_values_with_their_own_top_tokens(gated: tuple[Findings, Report]) -> None:
    findings, _ = gated
    index = ffmem.open_index(findings.folder.parents[1])
    model = load_indexed_model(index)
    examples = findings.get(EXPERIMENT, ConceptsResult).examples
    assert examples
    for one in examples:
        cell = model.cells.parse(one.cell.removeprefix("-"))
        place, row = model.cells.place(cell)
        value = model.values(place)[row] * (-1 if one.cell.startswith("-") else 1)
        scores = (model.projection_matrix("folded") @ value).detach().numpy()
        ids = np.argsort(-scores)[: len(one.tokens)].tolist()
        assert one.tokens == index.text.token_strings(ids)


def test_cells_are_drawn_once_with_their_sign() -> None:
    dominant = np.array([[3, -3, 0], [3, 5, -9]])
    drawn = _drawn(dominant, 10, np.random.default_rng(0))
    assert drawn.tolist() == [-9, -3, 3, 5]
    assert len(_drawn(dominant, 2, np.random.default_rng(0))) == 2
