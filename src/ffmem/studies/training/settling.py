"""When triggers, agreement and names settle, side by side: the picture that the study is for."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Chart, Exhibit
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.training import agreement, lists, names
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import chart, median_moment, when


def _settled(findings: Findings) -> Iterator[tuple[str, float]]:
    yield "triggers", median_moment(lists.settled_triggers(findings))
    if agreement.EXPERIMENT in findings.values:
        yield "agreement", median_moment(agreement.settled_agreement(findings))
    if names.applies(findings):
        yield "names", median_moment(names.settled_names(findings))


def _applies(findings: Findings) -> bool:
    return lists.EXPERIMENT in findings.values


def _reading(findings: Findings) -> str:
    told = [f"{what} by {when(findings, moment)}" for what, moment in _settled(findings) if moment == moment]
    return (
        f"Of the cells that have them at the end, half have them for good: {', '.join(told)}."
        if told
        else "Nothing settles."
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    series = {"triggers": lists.settled_share(findings)}
    if agreement.EXPERIMENT in findings.values:
        series["agreement"] = agreement.settled_share(findings)
    if names.applies(findings):
        series["names"] = names.settled_share(findings)
    yield chart(
        findings,
        "settled",
        "Of the cells that have triggers, agreement, a name at the end: the share that has them for good, by layer.",
        series,
        "cells",
    )


CHAPTER: Chapter[Training] = Chapter(
    order=9,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=0,
            name="Settling",
            title="What settles when",
            question="When does a cell get what it has at the end: its triggers, the agreement of its value, its name?",
            definition="""
For each moment, the share of the cells that have it from there on for good, among those that have it at the last moment. The
exhibits below say what counts in each case.""",
            conclude="""
An order of events within one training, each bracketed by two moments. The three are measured on different cells: all with
triggers, those that agree at the end, those with a name at the end.""",
            applies=_applies,
            reading=_reading,
            sample=lambda findings: "as told below, for each of them",
            charts=_charts,
        ),
    ),
)
