"""Frequency cells are those whose scores go with how frequent tokens are."""

import numpy as np
import pytest

import ffmem
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2022.confidence import confidence
from ffmem.studies.report import Report
from ffmem.studies.results import Findings


def test_cells_are_those_with_the_highest_correlations(gated: tuple[Findings, Report]) -> None:
    findings, report = gated
    index = ffmem.open_index(findings.folder.parents[1])
    model = load_indexed_model(index)
    counts = np.ones(model.facts.d_vocab)
    for number in range(index.text.n_sentences):
        np.add.at(counts, index.text.sentence(number).token_ids.astype(np.int64)[1:], 1)
    scores = (model.values(2) @ model.projection_matrix("folded").T).detach().numpy()
    correlations = [np.corrcoef(one, np.log(counts))[0, 1] for one in scores]
    cells = confidence(findings).cells
    for one in cells:
        row = int(one.cell.removeprefix("L2."))
        assert one.correlation == pytest.approx(correlations[row], abs=1e-4)
    named = [abs(one.correlation) for one in cells if one.group == "frequency"]
    rest = [abs(one.correlation) for one in cells if one.group not in ("frequency", "entropy")]
    assert len(named) == 3 and min(named) >= max(rest)
    (section,) = (one for one in report.sections if one.name == "Frequency cells")
    told = {one.quantity: one.ours for one in section.numbers}
    assert 0 < told["how well one direction scores tokens by frequency (correlation)"] < 1
    assert {row["cell"] for row in section.tables[0].rows} >= {one.cell for one in cells if one.group == "frequency"}
