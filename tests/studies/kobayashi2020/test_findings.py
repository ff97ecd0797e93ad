"""The result goes to disk and comes back as the same."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from ffmem import load_model
from ffmem.analyses.intervals import Estimate
from ffmem.corpus.registry import open_corpus
from ffmem.studies.kobayashi2020.findings import (
    EXPERIMENT,
    OTHER,
    POINTS,
    AttentionFindings,
    attention_of,
    is_there,
    sample_of,
)
from ffmem.studies.kobayashi2020.statistics import reproduce_attention
from ffmem.studies.results import Findings, Results, begin_results
from tests.studies.kobayashi2020.conftest import SMALL


@pytest.mark.parametrize("variant", ["bert", "t5"])
def test_a_round_trip_loses_nothing(
    variant: str, tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    """Down to the last bit of each number, and the NaN of what there was nothing to estimate from."""
    found = reproduce_attention(load_model(tiny_folder(variant)), open_corpus(str(corpus)), SMALL)
    results = begin_results(tmp_path, {"index": {}, "options": {}})
    results.save(EXPERIMENT, found)
    back = results.load(EXPERIMENT, AttentionFindings)
    assert repr(back) == repr(found)
    assert json.dumps(asdict(back)) == json.dumps(asdict(found))
    assert type(back.options) is type(SMALL) and isinstance(back.correlations[0], Estimate)


def test_what_the_exhibits_ask(findings: Findings, results: Results) -> None:
    found = attention_of(findings)
    assert found == results.load(EXPERIMENT, AttentionFindings)
    assert is_there(findings) and not is_there(Findings({}, Path(), {}))
    assert found.special == ("[CLS]", "[SEP]") and found.categories == (*found.special, POINTS, OTHER)
    assert sample_of(findings) == f"12 texts, {found.n_tokens:,} tokens, 3 layers x 4 heads"
    assert found.rows(1, "a", Estimate(0.5, 0.25, 0.75, 9)) == [
        {"layer": 1, "name": found.layers[1], "series": "a", "value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    ]
    assert found.rows(0, "a", Estimate(float("nan"), float("nan"), float("nan"), 0)) == []
    assert [row["low"] for row in found.rows(0, "a", 2.0)] == [2.0]
