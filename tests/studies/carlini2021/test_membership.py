"""Membership where it is known: documents of the training text hold the run that the model knows, new ones do not."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.studies.carlini2021.membership import CHAPTER, MembershipResult, told_apart_blind
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of
from tests.studies.carlini2021.conftest import Run, write


def found(findings: Findings) -> MembershipResult:
    return findings.get("membership", MembershipResult)


def test_a_model_that_knows_the_run_tells_all_documents_apart(audited: tuple[Findings, Report]) -> None:
    findings, report = audited
    loss = found(findings).scores[0]
    assert loss.name == "loss" and loss.area.value > 0.97 and loss.of_members > loss.of_others + 0.5
    (claim, _) = (one for name, one in report.claims if name == "Membership")
    assert claim.verdict == "shown"
    # the model that has learned nothing sees no more than chance
    untrained = findings_of(Results(findings.controls["untrained"].folder, findings.controls["untrained"].header))
    assert abs(found(untrained).scores[0].area.value - 0.5) < 0.35


def test_planted_documents_and_canaries_are_no_members(audited: tuple[Findings, Report]) -> None:
    findings, _ = audited
    assert (found(findings).n_members, found(findings).n_others) == (40, 30)
    arrays = Results(findings.folder, findings.header).load_arrays("membership")
    assert arrays["member"].sum() == 40 and arrays["blind: length"].tolist() == [14.0] * 70


def test_too_few_new_documents_say_nothing_of_few_false_alarms(audited: tuple[Findings, Report]) -> None:
    findings, report = audited
    assert all(np.isnan(one.hits["0.01"].value) for one in found(findings).scores)
    (section,) = (one for one in report.sections if one.name == "Membership")
    assert any("takes 100 new documents, and there are 30" in note for note in section.notes)
    assert min(row["middle"] for row in section.charts[0].rows) == 0.05  # one of 30 is more than 2 %


def test_documents_that_differ_without_the_model_are_warned_of(run_audit: Run, tmp_path: Path) -> None:
    new = write(tmp_path / "short.jsonl", [f"the door {'is ' * n}open" for n in range(12)])
    findings = findings_of(run_audit(tmp_path / "audit", held_out=new, passages=0, injections=0))
    assert "length" in {one.name for one in told_apart_blind(findings)}
    (exhibit,) = CHAPTER.exhibits
    assert any("not of one distribution" in note for note in exhibit.notes(findings))


def test_new_documents_that_were_trained_on_are_left_out(run_audit: Run, audit_files: Path, tmp_path: Path) -> None:
    lines = (audit_files / "new.jsonl").read_text() + (audit_files / "train.jsonl").read_text().splitlines()[3]
    (tmp_path / "mixed.jsonl").write_text(lines)
    held_out = str(tmp_path / "mixed.jsonl")
    findings = findings_of(run_audit(tmp_path / "audit", held_out=held_out, passages=0, injections=0))
    assert (found(findings).n_left_out, found(findings).n_others) == (1, 30)
    assert found(findings).scores[0].area.value == pytest.approx(1, abs=0.03)
