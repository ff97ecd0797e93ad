"""Do norms find links better than weights?"""

from collections.abc import Iterator

from ffmem.analyses.alignment.extract import READINGS, Measure, Reading
from ffmem.analyses.intervals import Uncertain
from ffmem.studies.alignment.comparing import rates_in
from ffmem.studies.alignment.findings import AlignmentStudy, Row, is_there, place_name, study_in
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.exhibit import Row as ChartRow
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, every

COLUMNS: tuple[tuple[Reading, Measure], ...] = (
    ("AWO", "weights"),
    ("AWO", "norms"),
    ("AWI", "weights"),
    ("AWI", "norms"),
)
"""In the order of the paper's table."""
_PAPER_MEAN = ("68.4 %", "62.9 %", "68.5 %", "60.5 %")
_PAPER_BEST = ("47.7 %", "41.4 %", "29.8 %", "25.0 %")
"""Means over 5 seeds that the official notebook prints, of each of the columns."""


def sample_of(findings: Findings) -> str:
    """How much was read, and what counts as right."""
    study = study_in(findings)
    return f"{study.n_pairs:,} pairs, {len(study.mean_norms)} layers x {len(study.mean_norms[0]) - 1} heads; {right(study)}"


def right(study: AlignmentStudy) -> str:
    """What counts as right, in words."""
    if study.against == "gold":
        return "against gold links"
    return (
        "against silver links, those of eflomal, which learned from the same text: an error rate says how far two machines "
        "differ"
    )


def best(rows: list[Row]) -> Row:
    """The row with the fewest errors."""
    return min(rows, key=lambda row: row.score.error_rate.value)


def mean_rate(rows: list[Row]) -> float:
    """The mean error rate."""
    return sum(row.score.error_rate.value for row in rows) / len(rows)


def rate(row: Row) -> str:
    """An error rate with its place, in words."""
    return f"{100 * row.score.error_rate.value:.1f} % ({row.name})"


def _reading(findings: Findings) -> str:
    study = study_in(findings)
    parts = []
    for reading in READINGS:
        values = [100 * one.difference.value for one in study.gains if one.reading == reading]
        parts.append(f"with {reading} by {min(values):+.1f} to {max(values):+.1f} points")
    return f"Norms in the place of weights change the error rate of a layer {' and '.join(parts)}."


def _numbers(findings: Findings) -> Iterator[Number]:
    study = study_in(findings)
    for (reading, measure), paper in zip(COLUMNS, _PAPER_MEAN, strict=True):
        ours = mean_rate(study.layers(measure, reading))
        yield Number(f"error rate, mean over layers, {reading} {measure}", paper, ours)
    for (reading, measure), paper in zip(COLUMNS, _PAPER_BEST, strict=True):
        row = best(study.layers(measure, reading))
        yield Number.of(f"error rate, best layer, {reading} {measure}", paper, row.score.error_rate)


def _claims(findings: Findings) -> Iterator[Claim]:
    study, rates = study_in(findings), rates_in(findings)
    for reading in READINGS:
        gains = [
            (one.name, rates.fewer_errors([one], [study.row(one.layer, None, "weights", reading)]))
            for one in study.layers("norms", reading)
        ]
        told = ", ".join(f"{name} {_points(-one)}" for name, one in gains)
        yield Claim(
            f"norms find links better than weights in every layer, read with {reading}",
            every(*(above(one) for _, one in gains)),
            f"error rate of norms less that of weights on the same pairs, in points: {told}",
        )


def _points(found: Uncertain) -> str:
    low, high = found.interval()
    return f"{100 * found.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _charts(findings: Findings) -> Iterator[Chart]:
    study = study_in(findings)
    rows: list[ChartRow] = [
        {"layer": one.layer, "name": place_name(one.layer, None), "series": one.reading, "value": one.difference.value}
        | {"low": one.difference.low, "high": one.difference.high, "n": one.difference.n}
        for one in study.gains
    ]
    yield Chart(
        "norms-less-weights",
        "Error rate of norms less that of weights, of whole layers: below 0, norms are better.",
        "lines",
        rows,
        "difference of error rates",
    )


def _tables(findings: Findings) -> Iterator[Table]:
    study = study_in(findings)
    yield Table(
        "gains",
        "Error rate of norms less that of weights, of whole layers, with 95 % intervals",
        ("layer", "reading", "difference", "low", "high"),
        [
            {"layer": place_name(one.layer, None), "reading": one.reading, "difference": one.difference.value}
            | {"low": one.difference.low, "high": one.difference.high, "pairs": one.difference.n}
            for one in study.gains
        ],
        side_by_side=True,
    )


CHAPTER = Chapter(
    order=1,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=5.1,
            name="5, norms",
            title="Do norms find links better than weights?",
            question="Is the largest ‖alpha f(x)‖ of a target word more often its translation than the largest alpha?",
            definition="""Each target word is linked to the source word with the largest entry of its row, or to none
                where </s> has the largest. Weights: alpha, and of a layer their mean over heads; norms: ‖alpha f(x)‖,
                and of a layer ‖the sum over heads‖. A row of the decoder speaks for the word that it was given (AWI)
                or for the one that it predicts (AWO). AER is 1 - (links that are sure + links that are possible) /
                (links + sure links).""",
            conclude="""Intervals draw pairs anew, the same for both measures; they say nothing of other models, or of
                another training of this one.""",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
