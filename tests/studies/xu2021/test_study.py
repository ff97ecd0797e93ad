"""The report of a study, its page, and what is said of what was left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Stage, Subject
from ffmem.studies.xu2021.options import TranslationOptions
from ffmem.studies.xu2021.study import STUDY
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.planted import copier
from tests.studies.xu2021.shares import shares


def test_the_report_has_every_exhibit_with_its_control(copied: Results) -> None:
    report = report_of(copied)
    assert [one.name for one in report.sections] == ["Encoder", "Decoder", "Addition"]
    assert dict(report.facts)["learned from"] == "200 of 220 pairs of train"
    (beside,) = report.controls
    assert beside.numbers[("Encoder", "acc@1, the model itself")].ours < 0.5
    claim = next(one for item, one in report.claims if one.statement.startswith("source embeddings already translate"))
    assert claim.verdict == "shown" and not report.also_shown_by("Encoder", claim)


def test_the_page_has_its_charts(copied: Results, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    from ffmem.studies.page import write_page

    page = write_page(report_of(copied), tmp_path).read_text()
    assert 'id="chart-translation-by-layer"' in page and 'id="chart-translation-maps"' in page
    drawn = (tmp_path / "figures" / "translation-by-layer.svg").read_text()
    assert "enc.embeddings" in drawn and "dec.L0" in drawn


def test_what_is_done_is_not_done_again(copied: Results, options: TranslationOptions) -> None:
    told: list[Stage] = []
    run_study(STUDY, Subject(copier, copied.folder), options, told.append)
    assert told and all((one.done, one.total) == (1, 1) for one in told)


def test_what_was_left_out_is_told(made: Made) -> None:
    findings = made(shares((0.5, 0.6), (0.2, 0.7)))
    assert len(list(STUDY.left_out(findings))) == 3
    assert not list(STUDY.left_out(replace(findings, values={}))) and not list(
        STUDY.facts(replace(findings, values={}))
    )
