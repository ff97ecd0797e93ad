"""The audit as a whole: what its page says of what may be concluded, and that a stopped run goes on."""

from pathlib import Path

import pytest

from ffmem.studies.report import Report
from ffmem.studies.results import Findings
from ffmem.studies.study import Stage, study_named
from tests.studies.carlini2021.conftest import Run


def test_the_page_says_what_was_read_and_what_cannot_be_concluded(audited: tuple[Findings, Report]) -> None:
    findings, report = audited
    facts = dict(report.facts)
    assert facts["new to the model"].endswith("new.jsonl") and "planted.json" in facts["planted"]
    assert [one.name for one in report.sections][:4] == ["Membership", "Exposure", "Extraction", "Cells"]
    assert all(len(one.conclude) > 100 for one in report.sections)
    assert "Nothing here proves that a text was, or was not, trained on" in report.note
    assert "verdict on one document" in report.sections[0].conclude
    assert set(findings.controls) == {"untrained"} and findings.header["index"]["model"]["weights_sha256"]


def test_texts_of_the_corpus_are_in_tables_that_can_be_left_out(audited: tuple[Findings, Report]) -> None:
    _, report = audited
    assert {"canaries", "carrying-cells"} <= set(report.tables)
    assert not {"canaries", "carrying-cells", "given-back-whole"} & set(report.without_text().tables)


class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
    pass


def test_a_stopped_audit_goes_on_and_comes_to_the_same(run_audit: Run, tmp_path: Path) -> None:
    less = {"passages": 1, "injections": 0}
    whole = run_audit(tmp_path / "whole", **less)
    done: list[str] = []

    def stop(stage: Stage) -> None:
        done.append(stage.experiment)
        if stage.experiment == "extraction":
            raise Stopped

    with pytest.raises(Stopped):
        run_audit(tmp_path / "stopped", listen=stop, **less)
    again: list[Stage] = []
    stopped = run_audit(tmp_path / "stopped", listen=again.append, **less)
    assert Stage("membership", 1, 1) in again and "membership" in done
    for name in ("membership", "canaries", "extraction", "cells"):
        assert (stopped.folder / f"{name}.json").read_bytes() == (whole.folder / f"{name}.json").read_bytes()


def test_it_is_a_study_like_others() -> None:
    study = study_named("carlini2021")
    assert [one.order for one in study.chapters] == [1, 2, 3, 4, 5]
