from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.geometry.neighbours import neighbours_of, overlap
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.study import Subject
from ffmem.studies.valeriani2023.context import begin
from ffmem.studies.valeriani2023.findings import CELLS, geometry
from ffmem.studies.valeriani2023.measuring import measure_cells
from ffmem.studies.valeriani2023.options import GeometryOptions
from ffmem.studies.valeriani2023.parameters import CHAPTER

(EXHIBIT,) = CHAPTER.exhibits


def test_keys_and_values_are_those_of_the_model(measured: Results) -> None:
    findings = findings_of(measured)
    found, model = geometry(findings, CELLS), load_indexed_model(findings.index)
    assert set(found.clouds) == {"keys", "values"}
    keys, values = (of(1).detach().numpy() for of in (model.keys, model.values))
    assert found.n_points == min(60, len(keys))
    if found.n_points == len(keys):  # all of them, so that nothing was drawn
        every = np.ones(len(keys), dtype=bool)
        shared = overlap(neighbours_of(keys).among(every), neighbours_of(values).among(every), found.k)
        assert found.clouds["keys"][1].near.value == pytest.approx(shared)
    assert np.isnan(found.clouds["values"][0].near.value)
    assert len(list(EXHIBIT.claims(findings))) == 1 and len(list(EXHIBIT.charts(findings))) == 2


def test_gated_cells_have_a_cloud_of_each_key(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    shared = begin(
        Subject(lambda: load_indexed_model(index), index.folder, index), GeometryOptions(points=50), lambda _: None
    )
    found = measure_cells(shared, lambda _: None)
    assert set(found.clouds) == {"gate keys", "up keys", "values"}
