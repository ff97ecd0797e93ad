"""Runs that the model gives back, which are those that lie within the run it knows."""

import numpy as np

from ffmem.studies.carlini2021.extraction import ExtractionResult
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, Results
from tests.fixtures.planted_memory import RUN


def test_runs_of_the_training_text_are_given_back_and_new_ones_are_not(audited: tuple[Findings, Report]) -> None:
    findings, report = audited
    found = findings.get("extraction", ExtractionResult)
    groups = {one.name: one for one in found.groups}
    assert groups["training text"].given_back.value > groups["new"].given_back.value + 0.1
    words = RUN.split()
    for one in found.examples:  # shown two words, three more: within the run, or it is not known by heart
        if one.shown.split()[-1] in words and one.given_back.split()[-1] in words:
            assert " ".join([one.shown.split()[-1], one.given_back]) in RUN
    (claim,) = (one for _, one in report.claims if one.statement.startswith("more is given back"))
    assert claim.test.effect > 0


def test_copies_are_those_of_what_is_given_back(audited: tuple[Findings, Report]) -> None:
    findings, _ = audited
    arrays = Results(findings.folder, findings.header).load_arrays("extraction")
    found = findings.get("extraction", ExtractionResult)
    assert (arrays["copies"][arrays["group"] == 0] >= 1).all()  # each stands in its own document at least
    counts = [found.eidetic[most] for most in ("1", "2", "64")]
    whole = (arrays["right"] == 3) & (arrays["copies"] >= 1)
    assert counts == sorted(counts) and counts[-1] == int(whole.sum())
    assert sum(one.extracted.n for one in found.by_copies) == int((arrays["copies"] >= 1).sum())
    assert np.isfinite([one.extracted.value for one in found.by_copies]).all()
