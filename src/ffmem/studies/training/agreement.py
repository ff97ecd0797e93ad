"""When values come to agree with what follows their triggers: first, and for good."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.analyses.through_training.settling import NEVER, settled, share_settled, touched
from ffmem.analyses.values import NONE, targets
from ffmem.store.reader import Index
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import (
    Course,
    Units,
    arrays_of,
    at_end,
    chart,
    courses,
    mean_of,
    median_moment,
    units_in,
    when,
)
from ffmem.studies.training.lists import settled_triggers
from ffmem.studies.verdicts import above

EXPERIMENT = "agreement"


@dataclass(frozen=True)
class AgreementResult:
    """Agreement through training; of gated cells each sign of the coefficient is a unit of its own."""

    agrees: tuple[Course, ...]
    """Share of units whose value's top token is the one that follows the best trigger."""
    chance: tuple[Course, ...]
    """The same for the triggers of other cells of the layer."""
    n_units: int


def top_tokens(index: Index, place: int) -> Int64[np.ndarray, "cells signs"]:
    """The token that each value of a layer promotes most, and, of gated cells, the one that its opposite does."""
    arrays = index.layer(place)
    ends = (arrays.promoted_ids, arrays.suppressed_ids)[: index.signs_of(place)]
    return np.stack([np.asarray(ids[:, 0]).astype(np.int64) for ids in ends], axis=1)


def agreeing(index: Index, place: int) -> tuple[Bool[np.ndarray, "cells signs"], float]:
    """Whether the top token of each value follows the best trigger, as the paper counts, and the share of any two cells.

    A unit whose best trigger ends its sentence, or that never fired, does not agree.
    """
    top, following = top_tokens(index, place), targets(index, place).following_best
    n = index.manifest.model.d_vocab
    wanted = np.bincount(following[following != NONE], minlength=n)
    pairs = float(wanted[top].sum()) / top.size**2
    return (top == following) & (following != NONE), pairs


def _run(study: Training, _: StageListener) -> AgreementResult:
    agrees: list[list[np.ndarray]] = [[] for _ in study.moments]
    chance = np.zeros((len(study.moments), len(study.places)))
    for number, moment in enumerate(study.moments):
        for place in study.places:
            found, pairs = agreeing(moment.index, place)
            agrees[number].append(found[study.order(number, place)].reshape(-1))
            chance[number, place] = pairs
    together = np.stack([np.concatenate(one) for one in agrees])
    layer, document = (np.repeat(one, study.index.n_signs) for one in (study.layer_of, study.document_of))
    units = Units(layer, document, tuple(study.layer_names()))
    study.results.save_arrays(EXPERIMENT, {"agrees": together, "layer": layer, "document": document})
    found_courses = courses(
        {"agrees": together.astype(np.float64), "chance": chance[:, layer]},
        units,
    )
    return AgreementResult(found_courses["agrees"], found_courses["chance"], together.shape[1])


def agrees_in(findings: Findings) -> Bool[np.ndarray, "moments units"]:
    """Whether each unit agrees at each moment."""
    found: np.ndarray = arrays_of(findings, EXPERIMENT)["agrees"].astype(bool)
    return found


def settled_agreement(findings: Findings) -> Int64[np.ndarray, "units"]:
    """The moment from which on each unit agrees for good; -1 if it does not at the last."""
    return settled(agrees_in(findings))


def settled_share(findings: Findings) -> tuple[Course, ...]:
    """The share of each layer's units that agree for good by each moment, of those that do at the last."""
    at, arrays = settled_agreement(findings), arrays_of(findings, EXPERIMENT)
    by = share_settled(at, len(arrays["agrees"])).astype(np.float64).T
    by[:, at == NEVER] = np.nan
    return courses({"agreement": by}, units_in(findings, arrays))["agreement"]


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> AgreementResult:
    return findings.get(EXPERIMENT, AgreementResult)


def _reading(findings: Findings) -> str:
    found, agrees = _found(findings), agrees_in(findings)
    ever, kept = agrees.any(0), agrees[-1]
    moment = median_moment(settled_agreement(findings))
    told = (
        "" if moment != moment else f" Half of those that agree at the end do so for good by {when(findings, moment)}."
    )
    return (
        f"{share(at_end(found.agrees))} of the cells agree at the last moment, {share(at_end(found.agrees, 0))} at the "
        "first; by "
        f"chance {share(at_end(found.chance))}. Of {int(ever.sum()):,} that ever agreed {int((ever & kept).sum()):,} "
        "do at the "
        f"end.{told}"
    )


def _sample(findings: Findings) -> str:
    return (
        f"all {_found(findings).n_units:,} cells (of a gated model each sign of the coefficient counts as one) at each "
        "moment, by "
        "the top token of each value that the index has; intervals by drawing the documents of the best triggers anew"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays, agrees = arrays_of(findings, EXPERIMENT), agrees_in(findings)
    units = units_in(findings, arrays)
    yield Number.of("agreement rate at the first moment", "-", mean_of(agrees[0].astype(np.float64), units).estimate)
    yield Number.of("agreement rate at the last moment", "-", mean_of(agrees[-1].astype(np.float64), units).estimate)
    yield Number("chance with cells shuffled, at the last moment", "-", at_end(_found(findings).chance))
    yield Number.of("cells that agree at some moment", "-", mean_of(np.where(agrees.any(0), 1.0, 0.0), units).estimate)
    lost = np.where(agrees.any(0), (~agrees[-1]).astype(np.float64), np.nan)
    yield Number.of("of these, cells that no longer do at the last", "-", mean_of(lost, units).estimate)
    back = np.where(agrees[-1], (settled(agrees) != touched(agrees)).astype(np.float64), np.nan)
    yield Number.of(
        "of those that agree at the last, cells that lost it in between", "-", mean_of(back, units).estimate
    )


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays, agrees = arrays_of(findings, EXPERIMENT), agrees_in(findings)
    units = units_in(findings, arrays)
    ends = agrees[[0, -1]].astype(np.float64)
    gain = mean_of(np.diff(ends, axis=0)[0], units)
    yield Claim(
        "agreement is learned: it is higher at the last moment than at the first",
        above(gain),
        f"{share(float(agrees[0].mean()))} of all cells at the first, {share(float(agrees[-1].mean()))} at the last",
    )
    own = settled_agreement(findings)
    lists = np.repeat(settled_triggers(findings), len(own) // len(settled_triggers(findings)))
    both = (own != NEVER) & (lists != NEVER)
    if both.any():
        later = mean_of(np.where(both, (own - lists).astype(np.float64), np.nan), units)
        yield Claim(
            "first the triggers, then the value: of cells that agree at the end, agreement settles later than triggers",
            above(later, unit="moments"),
            f"{int(both.sum()):,} cells; agreement {later.value:+.2f} moments after the triggers in the mean",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _found(findings)
    yield chart(
        findings,
        "agreement-through-training",
        "Cells whose value promotes most the token that follows the best trigger, by layer through training.",
        {"cells that agree": found.agrees, "with cells shuffled": found.chance},
        "cells",
    )


CHAPTER: Chapter[Training] = Chapter(
    order=2,
    experiments=lambda study: (
        [Experiment(EXPERIMENT, AgreementResult, _run)] if study.index.manifest.model.predicts_next_token else []
    ),
    results={EXPERIMENT: AgreementResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Agreement",
            title="When values come to agree with their triggers",
            question="When does a value first promote the token that follows its cell's best trigger, and when for good?",
            definition="""
A cell agrees at a moment if the top token of its value is the one that follows its best trigger there (Geva et al. 2021).
Touched: the first moment at which it does. Settled: the first from which on it does at all. Both sides may change: the value,
and what the best trigger is.""",
            conclude="""
That a value and a key come to belong together. The best trigger is one position: where it changes, agreement may go and come
by that alone.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
