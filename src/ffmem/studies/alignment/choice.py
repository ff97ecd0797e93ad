"""Can the layer or head that aligns be chosen by its norm, without gold links?"""

from collections.abc import Iterator

from ffmem.analyses.alignment.extract import READINGS, Reading
from ffmem.analyses.intervals import Estimate
from ffmem.studies.alignment.comparing import rates_in
from ffmem.studies.alignment.findings import Correlation, Row, is_there, place_name, study_in
from ffmem.studies.alignment.gains import COLUMNS, best, mean_rate, rate, sample_of
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.exhibit import Row as ChartRow
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, opposite

_PAPER_LAYER = ("-", "83.0 %", "-", "25.0 %")
_PAPER_HEAD = ("-", "87.1 %", "-", "35.5 %")
"""Means over 5 seeds that the official notebook prints, of `gains.COLUMNS`."""
_PAPER_SPEARMAN: dict[Reading, str] = {"AWO": "0.56", "AWI": "-0.44"}
_PAPER_PEARSON: dict[Reading, str] = {"AWO": "0.55", "AWI": "-0.52"}


_SIGNS: tuple[tuple[Reading, int, str], ...] = (("AWI", -1, "fewer"), ("AWO", 1, "more"))
"""What the paper saw: the sign of the correlation with each reading, and what it says of errors."""


def _correlations(findings: Findings) -> dict[Reading, Correlation]:
    return {one.reading: one for one in study_in(findings).correlations}


def _reading(findings: Findings) -> str:
    study = study_in(findings)
    told = ", ".join(f"{reading} {one.spearman:.2f}" for reading, one in _correlations(findings).items())
    given, predicted = (best(study.layers("norms", reading)).name for reading in READINGS)
    return (
        f"The layer with the highest mean norm is {place_name(study.layer, None)}, the head {place_name(*study.head)}; the "
        f"best layer by norms is {given} with AWI and {predicted} with AWO. "
        f"Spearman's correlation of error rate and mean norm over heads: {told}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    study = study_in(findings)
    for what, layer, head, papers in (
        ("layer", study.layer, None, _PAPER_LAYER),
        ("head", *study.head, _PAPER_HEAD),
    ):
        for (reading, measure), paper in zip(COLUMNS, papers, strict=True):
            row = study.row(layer, head, measure, reading)
            yield Number.of(
                f"error rate, {what} of highest mean norm, {reading} {measure}", paper, row.score.error_rate
            )
    correlations = _correlations(findings)
    for reading, paper in _PAPER_SPEARMAN.items():
        ours = correlations[reading].spearman
        yield Number(f"Spearman of error rate and mean norm, heads, {reading} norms", paper, ours, unit="")
    for reading, paper in _PAPER_PEARSON.items():
        yield Number(f"Pearson of the same, {reading} norms", paper, correlations[reading].pearson, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    study, rates = study_in(findings), rates_in(findings)
    layers, heads = study.layers("norms", "AWI"), study.heads("norms", "AWI")
    layer, head = study.row(study.layer, None, "norms", "AWI"), study.row(*study.head, "norms", "AWI")
    lead = rates.best_has_fewer_errors([layer], [row for row in layers if row != layer])
    low, high = lead.interval()
    yield Claim(
        "the layer with the highest mean norm is the one that aligns best (AWI)",
        above(lead),
        f"error rate by norms {rate(layer)}, best layer {rate(best(layers))}; against the best of the other layers it errs "
        f"less by {100 * lead.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
    )
    fewer = rates.fewer_errors([head], heads)
    low, high = fewer.interval()
    yield Claim(
        "the head with the highest mean norm aligns better than heads do on average (AWI)",
        above(fewer),
        f"error rate by norms {rate(head)}, mean of heads {100 * mean_rate(heads):.1f} %, best head {rate(best(heads))}; it "
        f"errs less than the mean by {100 * fewer.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
    )
    correlations = _correlations(findings)
    for reading, sign, word in _SIGNS:
        one, found = correlations[reading], rates.correlation(study.heads("norms", reading))
        test = above(found, unit="of Spearman's correlation")
        low, high = found.interval()
        yield Claim(
            f"heads with a higher mean norm make {word} errors, read with {reading}",
            test if sign > 0 else opposite(test),
            f"Spearman {found.value:.2f} ({low:.2f} to {high:.2f}), Pearson {one.pearson:.2f}, over the {one.n_heads} heads of "
            "this model; with other pairs, not with other heads",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    study = study_in(findings)

    def row(reading: str, one: Row) -> ChartRow:
        rate: Estimate = one.score.error_rate
        place = {"name": one.name, "series": reading, "middle": study.mean_norm(one.layer, one.head)}
        return place | {"value": rate.value, "low": rate.low, "high": rate.high, "n": rate.n}

    yield Chart(
        "error-rate-by-norm",
        "Error rate of each head by norms, against its mean norm.",
        "scatter",
        [row(reading, one) for reading in READINGS for one in study.heads("norms", reading)],
        "alignment error rate",
        x_title="mean ‖α f(x)‖ of the head",
    )


CHAPTER = Chapter(
    order=3,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=5.3,
            name="5, choice",
            title="Can the layer be chosen by its norm?",
            question="Without gold links: is the layer or head that contributes most the one that aligns?",
            definition="""The mean norm of a layer or head is the mean over all target and source tokens of all pairs
                of its norms. The layer and the head with the highest are chosen; over heads, the mean norm is
                correlated with the error rate by norms.""",
            conclude="""Heads of one model are few, and those of one layer have similar norms: a correlation over them can
                follow from which layers align. Its interval is that of other pairs with the same heads.""",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
