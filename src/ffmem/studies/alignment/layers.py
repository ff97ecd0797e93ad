"""Which layer aligns, and with which word?"""

from collections.abc import Iterator
from dataclasses import asdict

from ffmem.studies.alignment.comparing import rates_in
from ffmem.studies.alignment.findings import Row, is_there, place_name, study_in
from ffmem.studies.alignment.gains import COLUMNS, best, mean_rate, rate, sample_of
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Table
from ffmem.studies.exhibit import Row as ChartRow
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above


def _bests(findings: Findings) -> tuple[Row, Row]:
    """The best layer by norms with AWI, and with AWO."""
    study = study_in(findings)
    return best(study.layers("norms", "AWI")), best(study.layers("norms", "AWO"))


def _reading(findings: Findings) -> str:
    given, predicted = _bests(findings)
    return (
        f"By norms, the layer that best links the word it was given (AWI) errs in {rate(given)}, the one that best links "
        f"the word it predicts (AWO) in {rate(predicted)}."
    )


def _claims(findings: Findings) -> Iterator[Claim]:
    (given, predicted), study, rates = _bests(findings), study_in(findings), rates_in(findings)
    of_given, of_predicted = study.layers("norms", "AWI"), study.layers("norms", "AWO")
    lower = rates.best_layer_is_lower(of_given, of_predicted)
    ends = lower.interval()
    yield Claim(
        "a lower layer aligns with the word that was given (AWI), a higher one with the word that is predicted (AWO)",
        above(lower, unit="layers"),
        f"by norms: AWI best in {given.name}, AWO best in {predicted.name}; the second is higher by {lower.value:.0f} layers "
        f"({ends[0]:.0f} to {ends[1]:.0f})",
    )
    fewer = rates.best_has_fewer_errors(of_given, of_predicted)
    low, high = fewer.interval()
    yield Claim(
        "the best links are those of the word that was given (AWI)",
        above(fewer),
        f"error rate by norms: AWI {rate(given)}, AWO {rate(predicted)}; corrected for the choice of both layers the first is "
        f"less by {100 * fewer.value:.1f} points ({100 * low:.1f} to {100 * high:.1f})",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    study = study_in(findings)
    layers: list[ChartRow] = [
        {"layer": row.layer, "name": row.name, "series": f"{reading} {measure}"} | asdict(row.score.error_rate)
        for reading, measure in COLUMNS
        for row in study.layers(measure, reading)
    ]
    yield Chart("error-rates", "Error rate of each layer as a whole.", "lines", layers, "alignment error rate")
    heads: list[ChartRow] = []
    for reading, measure in COLUMNS:
        for layer in range(len(study.mean_norms)):
            some = [row for row in study.heads(measure, reading) if row.layer == layer]
            rates = [row.score.error_rate.value for row in some]
            heads.append(
                {"layer": layer, "name": place_name(layer, None), "series": f"{reading} {measure}"}
                | {"value": mean_rate(some), "low": min(rates), "high": max(rates), "n": len(some)}
            )
    yield Chart(
        "head-error-rates",
        "Error rate of single heads: the mean of each layer's, and its range.",
        "lines",
        heads,
        "alignment error rate",
    )


def _tables(findings: Findings) -> Iterator[Table]:
    study = study_in(findings)
    yield Table(
        "rows",
        "Every layer and head: error rate (AER) with its 95 % interval, precision and recall",
        ("place", "reading", "measure", "aer", "low", "high", "precision", "recall", "links", "mean_norm"),
        [
            {"place": row.name, "reading": row.reading, "measure": row.measure, "aer": row.score.error_rate.value}
            | {"low": row.score.error_rate.low, "high": row.score.error_rate.high, "precision": row.score.precision}
            | {
                "recall": row.score.recall,
                "links": row.score.n_links,
                "mean_norm": study.mean_norm(row.layer, row.head),
            }
            for row in study.rows
        ],
        side_by_side=True,
    )


CHAPTER = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=5.2,
            name="5, layers",
            title="Which layer aligns, and with which word?",
            question="""Where in the decoder are the links, and do its rows speak for the word that it was given or
                the one it predicts?""",
            definition="""The error rate of every layer, all heads together, and of every head by itself, by weights
                and norms and with both readings.""",
            conclude="Where links are in this model; the paper's decoder has six layers.",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
