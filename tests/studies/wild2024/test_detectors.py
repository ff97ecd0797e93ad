"""A planted cell of one token, and what detectors are against."""

import torch

from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.detectors import EXPERIMENT, DetectorsResult
from tests.studies.wild2024.conftest import ALWAYS, DEAD, OF_TOKEN


def test_a_cell_that_knows_one_token_is_its_detector(planted: tuple[Findings, Report]) -> None:
    findings, report = planted
    arrays, index = arrays_of(findings, EXPERIMENT), findings.index
    counts = torch.bincount(torch.from_numpy(index.text.token_id.astype("int64")))
    token = int(arrays["token"][OF_TOKEN])
    assert arrays["of_1"][OF_TOKEN] and not arrays["of_1"][[DEAD, ALWAYS]].any() and not arrays["by_chance"][OF_TOKEN]
    assert index.layer(0).n_active[OF_TOKEN] == counts[token], "it comes on at each of them, and nowhere else"
    rows = report.tables["token-detectors"].rows
    assert rows[0]["cell"] == f"L0.{OF_TOKEN}" and rows[0]["token"] == index.text.token_strings([token])[0]


def test_what_a_detector_is_against_is_what_its_value_lowers(planted: tuple[Findings, Report]) -> None:
    """By the head itself: a state that goes a little along the value, and what becomes of the token's score."""
    findings, _ = planted
    arrays, model = arrays_of(findings, EXPERIMENT), load_indexed_model(findings.index)
    token = int(arrays["token"][OF_TOKEN])
    matrix = model.module.get_output_embeddings().weight * model.unembedding.final_norm.weight  # type: ignore[union-attr]
    matrix = matrix - matrix.mean(1, keepdim=True)
    with torch.no_grad():
        scores = matrix @ model.values(0)[OF_TOKEN]
    assert arrays["against"][OF_TOKEN] == int(scores[token] < scores.mean())
    assert (arrays["against"] >= 0).sum() == arrays["of_1"].sum()


def test_shares_are_counts_of_cells_that_are_judged(planted: tuple[Findings, Report]) -> None:
    findings, _ = planted
    arrays = arrays_of(findings, EXPERIMENT)
    for place, layer in enumerate(findings.get(EXPERIMENT, DetectorsResult).layers):
        own = arrays["layer"] == place
        assert layer.n_judged == arrays["judged"][own].sum()
        for n, share in enumerate(layer.found, 1):
            assert share.value * layer.n_judged == arrays[f"of_{n}"][own].sum()
    assert not (arrays["of_1"] & arrays["of_2"]).any() and not (arrays["of_2"] & arrays["of_3"]).any()
