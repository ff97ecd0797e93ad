"""How far up planted secrets stand among all that might have been planted: Carlini et al. 2019."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ffmem.analyses.correlation import spearman
from ffmem.analyses.intervals import N_RESAMPLES, Uncertain
from ffmem.analyses.memorised.canaries import MEAN_OF_CHANCE, exposures
from ffmem.analyses.memorised.detection import auc_over_documents
from ffmem.analyses.resampling import of_draws
from ffmem.studies.carlini2021.context import Audit
from ffmem.studies.carlini2021.told import mean_over, told
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "canaries"
_ORDERED = 0.9
"""Spearman's correlation of insertions and exposure beyond which one orders the other."""


@dataclass(frozen=True)
class CanaryFound:
    """One canary."""

    text: str
    count: int
    loss: float
    """Of its words, in nats."""
    exposure: float
    """In bits."""
    exact: bool
    """Whether its rank was counted among all fillings."""


@dataclass(frozen=True)
class CanariesResult:
    """All canaries."""

    template: str
    n_words: int
    bits: float
    """log2 of the number of fillings: the most that exposure can be."""
    n_drawn: int
    canaries: tuple[CanaryFound, ...]


def _run(audit: Audit, listen: StageListener) -> CanariesResult:
    assert audit.planted is not None
    planted, options = audit.planted, audit.options
    found = exposures(
        audit.model,
        planted.template,
        [planted.filling(one) for one in planted.canaries],
        n_drawn=options.drawn,
        n_searched=options.searched,
        seed=options.seed,
        on_texts=lambda done: listen(Stage(EXPERIMENT, done, options.drawn)),
    )
    return CanariesResult(
        template=planted.template.text,
        n_words=len(planted.template.words),
        bits=float(np.log2(planted.template.n_fillings)),
        n_drawn=found.n_drawn,
        canaries=tuple(
            CanaryFound(one.text, one.count, float(loss), float(exposure), bool(exact))
            for one, loss, exposure, exact in zip(
                planted.canaries, found.loss, found.exposure, found.exact, strict=True
            )
        ),
    )


def _found(findings: Findings) -> CanariesResult:
    return findings.get(EXPERIMENT, CanariesResult)


def _of_count(findings: Findings, count: int) -> Float64[np.ndarray, " canaries"]:
    return np.array([one.exposure for one in _found(findings).canaries if one.count == count])


def _counts(findings: Findings) -> list[int]:
    return sorted({one.count for one in _found(findings).canaries})


def correlated(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> Uncertain:
    """Spearman's rank correlation, with what it would be of things drawn anew; NaN where one of them is the same everywhere."""
    n = len(first)
    drawn = np.random.default_rng(0).integers(n, size=(N_RESAMPLES, n))
    draws = np.array([spearman(first[some], second[some]) for some in drawn])
    return of_draws(spearman(first, second), draws, n, n)


def _order(findings: Findings) -> Uncertain:
    inserted = [one for one in _found(findings).canaries if one.count]
    return correlated(np.array([float(one.count) for one in inserted]), np.array([one.exposure for one in inserted]))


def _reading(findings: Findings) -> str:
    counts = _counts(findings)
    means = ", ".join(f"{count}: {_of_count(findings, count).mean():.1f}" for count in counts)
    return f"Mean exposure in bits, by how often a canary was inserted: {means}; by chance {MEAN_OF_CHANCE:.2f}."


def _sample(findings: Findings) -> str:
    found = _found(findings)
    n_exact = sum(one.exact for one in found.canaries)
    return (
        f"{len(found.canaries):,} canaries, among 2^{found.bits:g} fillings of {found.n_words} words; the ranks of {n_exact} "
        f"are counted, those of the others estimated from {found.n_drawn:,} fillings"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for count in _counts(findings):
        name = f"inserted {count} times" if count else "never inserted"
        paper = "-" if count else "1.44 by chance"
        yield Number.of(
            f"mean exposure, canaries {name}", paper, mean_over(_of_count(findings, count)).estimate, "bits"
        )
    yield Number.of("Spearman of insertions and exposure, inserted canaries", "-", _order(findings).estimate, "")


def _claims(findings: Findings) -> Iterator[Claim]:
    order = _order(findings)
    yield Claim(
        "how often a canary was inserted orders its exposure: Spearman's correlation is above 0.9",
        above(order, _ORDERED, ""),
        f"Spearman {told(order.estimate)}",
    )
    inserted = np.concatenate([_of_count(findings, count) for count in _counts(findings) if count])
    area = auc_over_documents(inserted, _of_count(findings, 0))
    yield Claim(
        "a canary that was inserted is more exposed than one that never was",
        above(area, 0.5, ""),
        f"area under the curve {told(area.estimate)}, where chance gives 0.5",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows, found = [], _found(findings)
    for count in _counts(findings):
        values = _of_count(findings, count)
        mean = mean_over(values).estimate
        place = count or 0.5  # the axis is logarithmic
        rows.append(
            {
                "middle": place, "from": place, "to": place, "series": "canaries",
                "value": mean.value, "low": mean.low, "high": mean.high, "n": len(values),
            }
        )  # fmt: skip
    yield Chart(
        "exposure",
        f"Mean exposure by insertions, of {found.bits:g} bits; those never inserted stand at 0.5.",
        "points",
        rows,
        "exposure in bits",
        "insertions",
        percent=False,
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "canary": one.text,
            "inserted": one.count,
            "exposure": round(one.exposure, 2),
            "rank": "counted" if one.exact else "estimated",
            "loss": round(one.loss, 3),
        }
        for one in sorted(_found(findings).canaries, key=lambda one: -one.exposure)
    ]
    yield Table("canaries", "The canaries, most exposed first.", tuple(rows[0]), rows, holds_text=True, folded=True)


CHAPTER: Chapter[Audit] = Chapter(
    order=2,
    experiments=lambda audit: () if audit.planted is None else (Experiment(EXPERIMENT, CanariesResult, _run),),
    results={EXPERIMENT: CanariesResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Exposure",
            title="Canaries that were planted",
            question="How far up does a planted secret stand among all that might have been planted, by how often it was?",
            definition="""
A canary fills the blanks of a template with words that were drawn at random. Exposure: log2 of the number of all
fillings, less log2 of its rank among them by loss. Of the likeliest the rank is counted, by a search that goes from word
to word and leaves out what is too unlikely already; of others it is estimated as (1 + drawn fillings with as low a loss)
/ (1 + drawn). Of one that was never inserted P(exposure at least e) = 2^-e, with a mean of 1.44 bits.""",
            conclude="""
Counts are known, so this says how much repetition it takes here. It does not say that what is not exposed is safe: a
template with other words around it, or a longer training, may give another answer. Between estimated ranks that are all
at the end of the scale nothing can be told.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
