"""Other systems on the same pairs."""

from collections.abc import Iterator

from ffmem.studies.alignment.findings import is_there, study_in
from ffmem.studies.alignment.gains import best, rate, sample_of
from ffmem.studies.exhibit import Exhibit, Number, Table
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments


def _reading(findings: Findings) -> str:
    study = study_in(findings)
    row = best(list(study.rows))
    own = f"The best links of attention, {row.reading} {row.measure}, err in {rate(row)}"
    others = min(study.others, key=lambda one: one.score.error_rate.value)
    return f"{own}; those of {others.name} in {100 * others.score.error_rate.value:.1f} %."


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in study_in(findings).others:
        yield Number.of(f"error rate, {one.name}", "-", one.score.error_rate)


def _tables(findings: Findings) -> Iterator[Table]:
    yield Table(
        "others",
        "Other systems: error rate (AER) with its 95 % interval, precision and recall",
        ("links of", "aer", "low", "high", "precision", "recall", "links"),
        [
            {"links of": one.name, "aer": one.score.error_rate.value, "low": one.score.error_rate.low}
            | {"high": one.score.error_rate.high, "precision": one.score.precision, "recall": one.score.recall}
            | {"links": one.score.n_links}
            for one in study_in(findings).others
        ],
        side_by_side=True,
    )


CHAPTER = Chapter(
    order=4,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=5.4,
            name="5, systems",
            title="How well do others align these pairs?",
            question="What do aligners that learn from pairs of sentences alone come to, on the same pairs?",
            definition="""eflomal and fast_align, as sil-thot has written them anew, where they are installed; and
                whatever links were given. One direction: at most one link for each target word; symmetrised: both
                directions, by grow-diag-final-and.""",
            conclude="The aligners learn from the very pairs that they are scored on, which attention does not.",
            applies=lambda findings: is_there(findings) and bool(study_in(findings).others),
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            tables=_tables,
        ),
    ),
)
