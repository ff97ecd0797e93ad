"""Error rates that are held against one another, against slow loops over pairs."""

import numpy as np
import pytest

from ffmem.analyses.correlation import spearman
from ffmem.analyses.intervals import Sums
from ffmem.studies.alignment.comparing import Rates, rates_in
from ffmem.studies.alignment.findings import study_in
from ffmem.studies.results import Findings


def test_the_sums_are_those_of_the_rows(findings: Findings) -> None:
    study, rates = study_in(findings), rates_in(findings)
    assert 1 - rates.sums.ratios == pytest.approx([row.score.error_rate.value for row in study.rows])


def test_differences_and_correlations_are_those_of_the_rates(findings: Findings) -> None:
    study, rates = study_in(findings), rates_in(findings)
    rows, others = study.layers("norms", "AWI"), study.layers("weights", "AWO")
    value = np.mean([row.score.error_rate.value for row in others]) - np.mean(
        [row.score.error_rate.value for row in rows]
    )
    assert rates.fewer_errors(rows, others).value == pytest.approx(value)
    heads = study.heads("norms", "AWO")
    expected = spearman(
        np.array([row.score.error_rate.value for row in heads]),
        np.array([study.mean_norm(row.layer, row.head) for row in heads]),
    )
    assert rates.correlation(heads).value == pytest.approx(expected)
    assert next(one.spearman for one in study.correlations if one.reading == "AWO") == pytest.approx(expected)


def test_the_best_of_equals_is_no_better(findings: Findings) -> None:
    """All rows are the same in truth. The best of twelve looks better than one that was not chosen; corrected, it does not."""
    study, rng = study_in(findings), np.random.default_rng(0)
    heads, one = study.heads("norms", "AWI"), study.layers("norms", "AWO")[:1]
    plain, corrected, rejected = [], [], []
    for _ in range(60):
        above = rng.binomial(10, 0.5, (40, len(study.rows))) * 1.0
        sums = Sums(above, np.full_like(above, 10.0))
        rates = Rates(study, sums)
        found = rates.best_has_fewer_errors(heads, one)
        best, single = (max(sums.ratios[rates._columns(of)]) for of in (heads, one))
        plain.append(best - single)
        corrected.append(found.value)
        rejected.append(found.p_above() < 0.05)
    assert np.mean(plain) > 0.03 and np.mean(corrected) < 0.6 * np.mean(plain) and np.mean(rejected) < 0.15


def test_where_the_best_stands(findings: Findings) -> None:
    study = study_in(findings)
    columns = {(row.layer, row.head, row.measure, row.reading): n for n, row in enumerate(study.rows)}
    above = np.full((30, len(study.rows)), 3.0)
    above[:, columns[0, None, "norms", "AWI"]] = 8
    above[:, columns[2, None, "norms", "AWO"]] = 7
    rates = Rates(study, Sums(above, np.full_like(above, 10.0)))
    lower = rates.best_layer_is_lower(study.layers("norms", "AWI"), study.layers("norms", "AWO"))
    assert lower.value == 2 and lower.p_above() == pytest.approx(1 / 2001)
