"""Agreement through a made-up training, against the study of one index; and values turned towards what follows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.agreement import measure_agreement
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Findings
from ffmem.studies.training.agreement import (
    EXPERIMENT,
    AgreementResult,
    agreeing,
    agrees_in,
    settled_agreement,
    settled_share,
    top_tokens,
)
from tests.fixtures.made_index import Document, Layer, make_index

Trained = Callable[[str], Sequence[Index]]


@pytest.mark.parametrize("family", ["wikilm", "llama"])
def test_the_rate_is_that_of_the_study_of_one_index(training_of: Trained, family: str) -> None:
    index = training_of(family)[-1]
    model = load_indexed_model(index)
    result, *_ = measure_agreement(index, model, index.manifest.projection)
    for place, layer in enumerate(result.layers):
        found, pairs = agreeing(index, place)
        assert found.mean() == pytest.approx(layer.agreement.value) and found.size == layer.n_units
        assert pairs == pytest.approx(layer.shuffled.value)


def test_agreement_that_was_planted(tmp_path: Path) -> None:
    """Cell 0 fires on "a" and writes "b", which follows; cell 1 writes something else; cell 2 fires at the end; 3 never."""
    documents = [Document([["a", "b", "c"]]), Document([["c", "a", "b"]])]
    table = np.array([[9, 5, 0, 0], [0, 0, 0, 0], [0, 0, 7, 0], [0, 0, 0, 0], [8, 4, 0, 0], [0, 0, 0, 0]], dtype=float)
    index = make_index(tmp_path / "index", documents, [Layer(table, promoted=[[1, 0], [2, 0], [0, 1], [1, 2]])])
    found, pairs = agreeing(index, 0)
    assert found[:, 0].tolist() == [True, False, False, False] and top_tokens(index, 0)[:, 0].tolist() == [1, 2, 0, 1]
    # two cells have a token that follows, "b"; two write it
    assert pairs == 2 * 2 / 16


def test_courses_are_those_of_the_moments(training_of: Trained, findings: Findings) -> None:
    agrees, found = agrees_in(findings), findings.get(EXPERIMENT, AgreementResult)
    for moment, index in enumerate(training_of("wikilm")):
        by_layer = [agreeing(index, place)[0].reshape(-1) for place in range(3)]
        assert agrees[moment].tolist() == np.concatenate(by_layer).tolist()
        assert [course.values[moment].value for course in found.agrees] == pytest.approx(
            [one.mean() for one in by_layer]
        )
    at = settled_agreement(findings)
    assert ((at >= 0) == agrees[-1]).all() and found.n_units == len(at)
    for course in settled_share(findings):
        known = [one.value for one in course.values if one.n]
        assert known == sorted(known) and all(value == 1 for value in known[-1:])
