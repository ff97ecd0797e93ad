"""Error rates that are held against one another, on the same pairs: what each pair adds to those of every layer and head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.correlation import ranks
from ffmem.analyses.intervals import Sums, Uncertain, drawn_ratios, mean_ratio
from ffmem.analyses.resampling import of_draws
from ffmem.studies.alignment.findings import ERROR_RATES, AlignmentStudy, Row, study_in
from ffmem.studies.results import Findings, Results


@dataclass(frozen=True)
class Rates:
    """The sums of 1 - AER, a column for each row of the study."""

    study: AlignmentStudy
    sums: Sums

    def fewer_errors(self, rows: Sequence[Row], others: Sequence[Row]) -> Uncertain:
        """The mean error rate of others less that of some rows: above 0 if these err less."""
        return mean_ratio(self.sums[self._columns(rows)], self.sums[self._columns(others)])

    def best_has_fewer_errors(self, rows: Sequence[Row], others: Sequence[Row]) -> Uncertain:
        """The smallest error rate of others less the smallest of some rows, corrected for both having been chosen by it.

        Each draw of pairs chooses anew, and is compared with what all pairs say of those that it chose.
        """
        some = [self.sums[self._columns(of)] for of in (rows, others)]
        if not rows or not others or len(some[0].above) < 2:
            return Uncertain(np.nan, np.nan, len(self.sums.above), len(self.sums.above))
        drawn = [drawn_ratios(one, 0) for one in some]
        picked = [np.nan_to_num(one.values + one.off, nan=-np.inf).argmax(1) for one in drawn]
        off = [one.off[np.arange(len(one.off)), places] for one, places in zip(drawn, picked, strict=True)]
        best = [float(np.nanmax(one.values)) for one in drawn]
        lead, missed = best[0] - best[1], off[0] - off[1]
        value = lead - float(np.nanmean(missed))
        n = len(self.sums.above)
        return of_draws(value, value - (missed - np.nanmean(missed)), n, n)

    def best_layer_is_lower(self, rows: Sequence[Row], others: Sequence[Row]) -> Uncertain:
        """By how many layers the best of some rows stands below the best of others."""
        best = []
        for of in (rows, others):
            some = self.sums[self._columns(of)]
            layers, drawn = np.array([row.layer for row in of]), drawn_ratios(some, 0)
            picked = np.nan_to_num(drawn.values + drawn.off, nan=-np.inf).argmax(1)
            best.append((int(layers[np.nanargmax(drawn.values)]), layers[picked]))
        (layer, layers), (other, others_layers) = best
        return of_draws(float(other - layer), (others_layers - layers) * 1.0, len(self.sums.above), len(layers))

    def correlation(self, rows: Sequence[Row]) -> Uncertain:
        """Spearman's correlation of rows' error rates with their mean norms; the rows stay the same in all draws."""
        some = self.sums[self._columns(rows)]
        norms = ranks(np.array([self.study.mean_norm(row.layer, row.head) for row in rows]))
        norms = norms - norms.mean()
        agreement = drawn_ratios(some, 0)
        errors = np.vstack([-agreement.values, -(agreement.values + agreement.off)])
        ranked = np.apply_along_axis(ranks, 1, errors)
        ranked = ranked - ranked.mean(1, keepdims=True)
        lengths = np.sqrt((ranked**2).sum(1) * (norms**2).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            found = ranked @ norms / lengths
        return of_draws(float(found[0]), found[1:], len(some.above), len(rows))

    def _columns(self, rows: Sequence[Row]) -> list[int]:
        place = {(row.layer, row.head, row.measure, row.reading): n for n, row in enumerate(self.study.rows)}
        return [place[row.layer, row.head, row.measure, row.reading] for row in rows]


def rates_in(findings: Findings) -> Rates:
    """What was kept beside the result."""
    arrays = Results(findings.folder, findings.header).load_arrays(ERROR_RATES)
    return Rates(study_in(findings), Sums(arrays["above"], arrays["below"]))
