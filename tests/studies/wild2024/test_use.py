"""Use by layer: its order, its planted cells, and against the index."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.runner import findings_of
from ffmem.studies.wild2024 import use
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.use import CHAPTER, found_use, told_rule
from tests.studies.wild2024.conftest import copied, run


@pytest.mark.parametrize("which", ["planted", "gated"])
def test_a_window_uses_more_than_a_sentence_and_this_more_than_a_token(
    which: str, request: pytest.FixtureRequest
) -> None:
    findings, _ = request.getfixturevalue(which)
    for control in (findings, *findings.controls.values()):
        for one in found_use(control).layers:
            assert 0 < one.token.value < one.sentence.value < one.window.value <= 1 - one.dead.value + 1e-12
            assert (
                one.token.value < one.by_chance <= 1 - one.dead.value + 1e-12 or found_use(control).limits is not None
            )
            assert list(one.of_tokens) == sorted(one.of_tokens) and list(one.of_sentences) == sorted(one.of_sentences)
            assert one.token.low < one.token.value < one.token.high
            assert one.window.n == found_use(control).n_windows * one.n_cells, "windows are of cells"


def test_numbers_of_the_index_are_exact(planted: tuple[Findings, Report]) -> None:
    findings, _ = planted
    for place, one in enumerate(found_use(findings).layers):
        arrays, counted = findings.index.layer(place), one.counted
        assert counted is not None
        n, n_sentences = arrays.counts[0].tolist()
        assert counted.token == counted.token_of_all == arrays.n_active.sum() / (n * one.n_cells)
        assert counted.sentence == arrays.n_active_sentences.sum() / (n_sentences * one.n_cells)
        assert counted.dead == (arrays.n_active == 0).sum() >= 1
        assert one.token.value == pytest.approx(counted.token, abs=0.03)
        assert one.sentence.value == pytest.approx(counted.sentence, abs=0.05)


def test_sums_add_up_to_what_is_told(planted: tuple[Findings, Report]) -> None:
    findings, _ = planted
    arrays, result = arrays_of(findings, "use"), found_use(findings)
    assert arrays["positions"].sum() == result.n_positions and arrays["sentences"].sum() == result.n_sentences
    assert arrays["window"].shape == (result.n_windows, len(result.layers)) and result.n_windows >= 3
    means = arrays["token"].sum(0) / result.n_positions
    assert means == pytest.approx([one.token.value for one in result.layers])


def test_an_index_that_did_not_count_sentences_is_told_of(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = copied(index_of("opt"), tmp_path / "index")
    older = {name: value for name, value in index.manifest.json.items() if name != "statistics"}
    index.manifest = replace(index.manifest, json=older)
    findings = findings_of(run(index, positions=400))
    assert all(np.isnan(one.counted.sentence) for one in found_use(findings).layers if one.counted)
    assert any("built before sentences were counted" in note for note in CHAPTER.exhibits[0].notes(findings))
    findings = findings_of(run(ffmem.open_index(index_of("opt").folder), positions=400))
    assert not [note for note in CHAPTER.exhibits[0].notes(findings) if "built before" in note]


def test_what_is_active_is_told_in_words(planted: tuple[Findings, Report], gated: tuple[Findings, Report]) -> None:
    assert list(told_rule(planted[0])) == ["a coefficient above 0"]
    (told,) = told_rule(gated[0])
    limits = found_use(gated[0]).limits
    assert limits is not None and limits.more_perplexity <= 0.01 + 1e-9 and "put to 0 below it" in told
    assert use.EXPERIMENT in gated[0].values
