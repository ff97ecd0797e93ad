"""`ffmem reproduce`, `reproduce-attention` and `compare`: options in, the numbers of a study out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import FfmemError, Index, InputError
from ffmem.cli.verbs import reproduce as module
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.report import report_of
from ffmem.studies.results import open_results
from tests.cli.typed import typed

pytest.importorskip("altair", reason="needs the extra report")


@pytest.fixture
def folder(studied_index: Index, tmp_path: Path) -> Path:
    return Path(shutil.copytree(studied_index.folder, tmp_path / "i"))


def test_a_study_is_told_as_text_and_as_json(
    studied_index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = report_of(open_results(studied_index.folder))
    monkeypatch.setattr(module, "run_named", lambda *_: (report, Path("out/page.html")))  # which takes a while
    typed("reproduce", studied_index.folder)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{report.title}\n") and shown.endswith("The page: out/page.html\n")
    for name, number in report.numbers:
        assert name in shown and number.quantity in shown and number.text() in shown
    typed("reproduce", studied_index.folder, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found == {"studies": json.loads(json.dumps([report.to_json()])), "page": "out/page.html"}


class _Told(Exception):  # noqa: N818 (no error: it ends a command where its study would be run)
    pass


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), StudyOptions()),
        (("--full",), StudyOptions(edited_cells=100, edited_triggers=50, scored_cells=0)),
        (("--prefixes", "5"), StudyOptions(prefixes=5)),
        (
            ("--full", "--prefixes", "5", "--edited-cells", "3"),
            StudyOptions(prefixes=5, edited_cells=100, edited_triggers=50, scored_cells=0),
        ),
    ],
)  # fmt: skip
def test_what_is_typed_is_what_is_run(
    arguments: tuple[str, ...], options: StudyOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def run(*given: Any) -> None:
        told.extend(given)
        raise _Told

    monkeypatch.setattr(module, "run_named", run)
    with pytest.raises(_Told):
        typed("reproduce", "m", "a.txt", "b.txt", *arguments, "--max-tokens", 70, "--out", "o", "--dtype", "float16")
    study, source, corpora, found, rest = told
    assert (study.name, source, corpora) == ("geva2021", "m", ("a.txt", "b.txt")) and found == options
    assert (rest.max_tokens, rest.out, rest.loading.dtype, rest.quiet) == (70, "o", "float16", False)


def test_attention_from_a_model_and_a_corpus_to_one_document(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--texts", 6, "--length", 16, "--count-tokens", 2000, "--quiet")
    typed("reproduce-attention", tiny_folder("bert"), corpus, "--out", tmp_path / "a", *small, "--json")
    found = json.loads(capsys.readouterr().out)
    page = Path(found.pop("page"))
    assert page == tmp_path / "a" / "report.html" and page.is_file()
    assert found == json.loads((page.parent / "results.json").read_text())
    with pytest.raises(
        InputError, match="is not an index, and no corpus is given"
    ):  # not of the same paper, and no index
        typed("reproduce", tiny_folder("bert"))


def test_studies_side_by_side(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "j"))
    report = report_of(open_results(folder))
    typed("compare", folder, other)
    shown = capsys.readouterr().out.splitlines()
    number = next(one for _, one in report.numbers if one.text()[:1].isdigit())
    (line,) = [line for line in shown if line.strip().startswith(f"{number.quantity}  ") and number.text() in line][:1]
    assert line.count(number.text()) >= 2
    typed("compare", folder, other, "--markdown")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"|  | quantity | paper | {report.title} | {report.title} |"
    assert sum(line.startswith("| --- |") for line in lines) == 2  # numbers, and claims
    typed("compare", folder, "--json")
    assert json.loads(capsys.readouterr().out)["studies"] == json.loads(json.dumps([report.to_json()]))


def test_what_has_no_results_cannot_be_compared(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(FfmemError, match=r"ffmem (reproduce|study)"):
        typed("compare", index_of("gpt2").folder)
