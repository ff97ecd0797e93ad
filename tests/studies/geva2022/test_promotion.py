"""Scores where the candidate changes, pooled over layers; and a study in which it is known what they are."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.analyses.updates.dominant import STATS, TOKENS
from ffmem.studies.geva2022.promotion import CHAPTER
from ffmem.studies.geva2022.sub_updates import EXPERIMENT, at_positions
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, Results
from ffmem.studies.verdicts import judged


def test_numbers_are_means_over_all_changes(gated: tuple[Findings, Report]) -> None:
    findings, report = gated
    found = at_positions(Results(findings.folder, findings.header)).found
    changes = found.residual_top != found.output_top
    told = {one.quantity: one.ours for name, one in report.numbers if name == "Promotion"}
    for token, name in ((1, "the new top token"), (2, "the candidate that falls")):
        own, random = (found.stats[:, :, token, kind, 0][changes] for kind in (0, 1))
        assert told[f"score of {name}"] == pytest.approx(own.mean(), rel=1e-4)
        assert told[f"the same by random cells: {name}"] == pytest.approx(random.mean(), rel=1e-4)
    assert told["dominant sub-updates for the new top token"] == pytest.approx(
        found.stats[:, :, 1, 0, STATS.index("positive")][changes].mean(), rel=1e-4
    )


def made(folder: Path, lifted: float, lowered: float) -> Findings:
    """A study of 40 documents, in each of whose changes the new token is lifted and the old one lowered by so much."""
    rng, n = np.random.default_rng(0), 80
    stats = rng.normal(0, 0.3, (n, 2, len(TOKENS), 2, len(STATS)))
    stats[:, :, 1, 0, 0] += lifted
    stats[:, :, 2, 0, 0] -= lowered
    empty = np.zeros((n, 2))
    arrays = {
        "residual_top": empty, "output_top": empty + 1, "n_above": empty, "n_fallen": empty, "of_lengths": empty,
        "of_output": empty, "dominant": np.zeros((n, 2, 10)), "stats": stats, "document": np.repeat(np.arange(40), 2),
    }  # fmt: skip
    folder.mkdir()
    results = Results(folder, {"key": "k", "study": "geva2022"})
    results.save_arrays(EXPERIMENT, arrays)
    return Findings({"key": "k", "study": "geva2022"}, folder, {EXPERIMENT: None})


def verdicts(findings: Findings) -> list[str]:
    (exhibit,) = CHAPTER.exhibits
    return [claim.verdict for claim in judged([tuple(exhibit.claims(findings))])[0]]


def test_claims_follow_what_is_planted(tmp_path: Path) -> None:
    promoting = made(tmp_path / "a", lifted=1.0, lowered=0.0)
    suppressing = made(tmp_path / "b", lifted=0.0, lowered=1.0)
    assert verdicts(promoting) == ["shown", "shown", "undecided"]
    assert verdicts(suppressing) == ["undecided", "contradicted", "contradicted"]
    assert verdicts(made(tmp_path / "c", lifted=1.0, lowered=-0.5)) == ["shown", "shown", "shown"]
