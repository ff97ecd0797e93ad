"""The page, and the command that writes it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem.json_values import to_json
from ffmem.studies.kobayashi2020.findings import POINTS, attention_of
from ffmem.studies.kobayashi2020.study import STUDY, write_results
from ffmem.studies.report import report_of
from ffmem.studies.results import Findings, Results
from tests.fixtures.programs import ffmem
from tests.studies.kobayashi2020.conftest import Run

SECTIONS = ["4.1", "4.2", "4.2", "4.3", "2021"]
CHARTS = ["variation", "weight-shares", "norm-shares", "transformed-norms", "correlations", "mixing"]


def test_a_report_has_every_section(results: Results) -> None:
    report = report_of(results)
    assert [one.name for one in report.sections] == SECTIONS and list(report.charts) == CHARTS
    assert len({one.anchor for one in report.sections}) == 5
    assert report.title.startswith("Attention of ") and report.left_out == ()
    assert dict(report.facts)["read"].startswith("12 texts, ")
    assert len(report.numbers) == 1 + 4 + 4 + 2 + 5 + 5 and len(report.claims) == 1 + 3 + 3 + 1 + 1


def test_what_a_model_cannot_be_asked_is_said(run: Run, tmp_path: Path) -> None:
    first, norm = report_of(run(tmp_path / "gpt2", "gpt2")).left_out
    assert "no special token before a text" in first and "AttnResLn-N" in norm


def test_results_are_one_document(findings: Findings, tmp_path: Path) -> None:
    write_results(attention_of(findings), tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == to_json(attention_of(findings))
    assert STUDY.result_type("attention") is type(attention_of(findings))


def test_the_page_opens_with_every_section_and_chart(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    from ffmem.studies.page import write_page

    report = report_of(results)
    page = write_page(report, tmp_path).read_text()
    for section in report.sections:
        assert f'<section id="{section.anchor}">' in page and section.title in page
    for name in CHARTS:
        assert f'id="chart-{name}"' in page
        assert (tmp_path / "figures" / f"{name}.svg").read_bytes().startswith(b"<svg")
        rows = list(csv.DictReader((tmp_path / "figures" / f"{name}.csv").read_text().splitlines()))
        assert len(rows) == len(report.charts[name].rows) > 0
    assert "http" not in page.split("<script>")[0]


def test_the_command_writes_a_page(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    small = ("--texts", 6, "--length", 16, "--count-tokens", 2000)
    shown, told = ffmem("reproduce-attention", tiny_folder("bert"), corpus, "--out", tmp_path / "a", *small)
    assert "Spearman of weight and ‖f(x)‖, [SEP]" in shown and "~ -0.69" in shown and "texts:" in told
    assert "Attention is not only a weight" in (tmp_path / "a" / "report.html").read_text()
    assert {path.stem for path in (tmp_path / "a" / "figures").iterdir()} == {
        *CHARTS,
        *(f"{name}-untrained" for name in CHARTS),
        "numbers",
    }
    kept = json.loads((tmp_path / "a" / "results.json").read_text())
    assert kept["categories"] == ["[CLS]", "[SEP]", POINTS, "other"]
    again, _ = ffmem(
        "reproduce-attention", tiny_folder("bert"), corpus, "--out", tmp_path / "b", *small, "--quiet", "--json"
    )
    assert json.loads(again)["variation"] == kept["variation"]
