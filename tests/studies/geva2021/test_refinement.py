"""Figures 9 to 11 are what the stored arrays say, and claims what was planted in them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ffmem.studies.geva2021.refinement import CHAPTER, RefinementResult, refinement_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.verdicts import Verdict, judged
from tests.analyses.made_refinement import refinement
from tests.studies.conftest import Story


def test_findings_are_those_of_the_stored_arrays(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    result = story.findings.get("refinement", RefinementResult)
    assert result.n_prefixes == len(arrays.n_active) == 30
    for place, layer in enumerate(result.layers):
        assert layer.residual_match.value == np.mean(arrays.residual_top[:, place] == arrays.prediction)
        assert layer.zero_agreement.value == np.mean(~arrays.active_agrees[:, place])
        assert sum(case.value for case in layer.cases.values()) == pytest.approx(1)
    assert sum(one.value for one in result.saturation) == pytest.approx(1)
    assert result.n_documents == len(np.unique(arrays.document))
    assert len(result.layers) == story.index.n_layers


def test_numbers_are_means_of_layers(story: Story) -> None:
    arrays = refinement_of(story.results.load_arrays("refinement"))
    numbers = {one.quantity: one for name, one in story.report.numbers if name in ("Figure 9", "Figure 11")}
    matches = arrays.residual_top == arrays.prediction[:, None]
    highest = numbers["prediction already on top of the stream, highest third"]
    assert highest.ours == pytest.approx(matches[:, -1].mean())  # of three layers a third is one
    stays = (arrays.output_top == arrays.residual_top) & (arrays.output_top != arrays.ff_top)
    assert numbers["residual, mean of layers"].ours == pytest.approx(stays.mean())
    (claim,) = (one for _, one in story.report.claims if one.statement == "the prediction is found layer by layer")
    assert claim.test.effect == pytest.approx(matches[:, -1].mean() - matches[:, 0].mean())
    assert claim.test.degrees == len(np.unique(arrays.document)) - 1


N, LAYERS = 600, 8
"""Prefixes of 60 documents."""


def with_cases(story: Story, tmp_path: Path, cases: np.ndarray) -> Findings:
    """The study, if Figure 11 had these cases: numbers in `CASES` of each prefix and layer."""
    zeros = np.zeros((N, LAYERS), np.int64)
    # O is 0 always
    residual = np.select([cases == 0, cases == 1, cases == 2, cases == 3], [0, 0, 1, 1])
    ff = np.select([cases == 0, cases == 1, cases == 2, cases == 3], [0, 1, 0, 1])
    made = refinement(residual.tolist(), ff.tolist(), zeros.tolist(), document=np.arange(N) // 10)
    header = {**story.findings.header, "key": "made"}
    Results(tmp_path, header).save_arrays("refinement", {one.name: getattr(made, one.name) for one in fields(made)})
    found = story.findings.get("refinement", RefinementResult)
    layers = tuple(replace(found.layers[0], layer=f"L{place}") for place in range(LAYERS))
    result = replace(found, of_layers=replace(found.of_layers, layers=layers))
    return Findings(header, tmp_path, {**story.findings.values, "refinement": result})


def verdicts(findings: Findings) -> list[Verdict]:
    (exhibit,) = (one for one in CHAPTER.exhibits if one.name == "Figure 11")
    return [one.verdict for one in judged([tuple(exhibit.claims(findings))])[0]]


def test_planted_cases_are_judged_as_they_were_planted(story: Story, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def drawn(*shares: float) -> np.ndarray:
        """Shares of agreement, residual, ffn, composition, in every layer."""
        return rng.choice(4, size=(N, LAYERS), p=shares)

    assert verdicts(with_cases(story, tmp_path, drawn(0.05, 0.7, 0.05, 0.2))) == ["shown", "shown"]
    assert verdicts(with_cases(story, tmp_path, drawn(0.05, 0.2, 0.7, 0.05))) == ["contradicted", "contradicted"]
    assert verdicts(with_cases(story, tmp_path, drawn(0.25, 0.25, 0.25, 0.25))) == ["undecided", "undecided"]
    one_layer = drawn(0.05, 0.7, 0.05, 0.2)
    one_layer[:, 3] = rng.choice(4, size=N, p=(0.05, 0.3, 0.05, 0.6))  # elsewhere it leads by far
    assert verdicts(with_cases(story, tmp_path, one_layer)) == ["contradicted", "shown"]


def test_layers_that_repeat_one_another_decide_nothing(story: Story, tmp_path: Path) -> None:
    """Composition leads ffn in 33 of 60 documents, in every prefix and layer of each: 4,800 cases, and 60 documents."""
    rng = np.random.default_rng(1)
    of_document = rng.permutation(np.repeat([3, 2], [33, 27]))
    cases = np.repeat(of_document[np.arange(N) // 10][:, None], LAYERS, axis=1)
    assert verdicts(with_cases(story, tmp_path, cases))[1] == "undecided"
    independent = np.random.default_rng(2).choice([3, 2], p=(0.55, 0.45), size=(N, LAYERS))
    assert verdicts(with_cases(story, tmp_path, independent))[1] == "shown"
