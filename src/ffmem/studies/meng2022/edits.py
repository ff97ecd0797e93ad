"""Whether edits do what they are for, beside ways that should not, and beside the papers' numbers."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from ffmem.analyses.editing.effects import KINDS, Kind
from ffmem.analyses.intervals import Sums, Uncertain, mean_ratio
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, points, share
from ffmem.studies.meng2022.conditions import PREFIX, ConditionResult, answers_of, conditions, run
from ffmem.studies.meng2022.context import Meng2022
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment
from ffmem.studies.verdicts import above

PAPER: Mapping[str, tuple[str, str, str, str]] = {
    "none": ("30.5", "22.2", "24.7", "78.1"),
    "tune": ("66.9", "99.1", "48.7", "70.3"),
    "knowledge": ("35.6", "28.7", "28.0", "72.9"),
    "rome": ("89.2", "100", "96.4", "75.4"),
    "memit, at once": ("~ 85.8", "-", "-", "-"),
}
"""Score, efficacy, paraphrase, neighbourhood of GPT-2 XL on CounterFact (Meng et al. 2022); memit: GPT-J, 10,000 facts."""
WORDS = {
    "none": "as it is",
    "prefix": "told the new answer before the prompt",
    "rome": "rome",
    "random cells": "rome's changes in random cells of the layer",
    "tune": "bounded fine-tuning",
    "memit, at once": "memit, all facts at once",
    "knowledge": "knowledge cells",
}


def found_of(findings: Findings) -> list[ConditionResult]:
    """All ways that are done, in the order of their layers."""
    found = [one for name, one in findings.values.items() if name.startswith(PREFIX)]
    return sorted(found, key=lambda one: (list(WORDS).index(one.way), one.place))


def is_there(findings: Findings) -> bool:
    """Whether one is done."""
    return bool(found_of(findings))


def main_layer(findings: Findings) -> str:
    """The layer that ways are compared at: that of the random cells, or of the first edit that there is."""
    some = [one.layer for one in found_of(findings) if one.way == "random cells"]
    some += [one.layer for one in found_of(findings) if one.layer]
    return next(iter(some), "")


def compared(findings: Findings) -> list[ConditionResult]:
    """Each way once: at the main layer, if it has one."""
    return [one for one in found_of(findings) if one.layer in ("", main_layer(findings))]


def one_of(findings: Findings, way: str, layer: str | None = None) -> ConditionResult | None:
    """A way at a layer, by default the main one."""
    layer = main_layer(findings) if layer is None else layer
    return next((one for one in found_of(findings) if one.way == way and one.layer in ("", layer)), None)


def title_of(one: ConditionResult) -> str:
    """A way in words, with its layer."""
    return f"{WORDS[one.way]}{f', {one.layer}' if one.layer else ''}"


def arrays_of(findings: Findings, one: ConditionResult) -> dict[str, np.ndarray]:
    """What lies beside its result, fact by fact."""
    layer = f"-L{one.place}" if one.place >= 0 else ""
    name = f"{PREFIX}{one.way.replace(',', '').replace(' ', '-')}{layer}"
    return Results(findings.folder, findings.header).load_arrays(name)


def less(findings: Findings, one: ConditionResult, other: ConditionResult, kind: Kind) -> Uncertain:
    """The share of prompts of a kind that are as they should be, less that of another way, of the same facts."""
    sums = []
    for each in (one, other):
        answers = answers_of(arrays_of(findings, each))
        some = answers.of(kind)
        sums.append(Sums.of(answers.holds[some], answers.fact[some], int(answers.fact.max()) + 1))
    n = min(len(each.above) for each in sums)
    return mean_ratio(*(Sums(each.above[:n], each.below[:n]) for each in sums))


def _reading(findings: Findings) -> str:
    rome, none = one_of(findings, "rome"), one_of(findings, "none")
    if rome is None or none is None:
        return "Not yet done."
    best = max((one for one in found_of(findings) if one.way == "rome"), key=lambda one: one.score.value)
    return (
        f"At {rome.layer}, rome has the new answer at {share(rome.efficacy.value)} of the prompts and "
        f"{share(rome.paraphrase.value)} of their paraphrases, and {share(rome.neighbourhood.value)} of the neighbours "
        f"keep theirs (as it is: {share(none.neighbourhood.value)}). Its best layer here is {best.layer}, with a score of "
        f"{share(best.score.value)}."
    )


def _sample(findings: Findings) -> str:
    done = found_of(findings)
    return f"{max(one.n_facts for one in done)} facts, each changed by itself, in {len(done)} ways; intervals by drawing facts"


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in compared(findings):
        paper = PAPER.get(one.way, ("-", "-", "-", "-"))
        values = (one.score, one.efficacy, one.paraphrase, one.neighbourhood)
        for name, told, value in zip(("score", *_NAMES.values()), paper, values, strict=True):
            yield Number.of(f"{name}: {title_of(one)}", told, value)


_NAMES: Mapping[Kind, str] = {"prompt": "efficacy", "paraphrase": "paraphrase", "neighbour": "neighbourhood"}


def _claims(findings: Findings) -> Iterator[Claim]:
    rome = one_of(findings, "rome")
    if rome is None:
        return
    pairs: tuple[tuple[str, Kind, str], ...] = (
        ("random cells", "prompt", "the cells matter: as large a change of random cells says the new answer less often"),
        ("prefix", "prompt", "an edit by rome says the new answer more often than the model that is told it before the prompt"),
        ("tune", "paraphrase", "an edit by rome follows paraphrases more often than bounded fine-tuning does"),
        ("tune", "neighbour", "an edit by rome spares neighbours more often than bounded fine-tuning does"),
    )  # fmt: skip
    for way, kind, statement in pairs:
        other = one_of(findings, way)
        if other is not None:
            found = less(findings, rome, other, kind)
            name = ["efficacy", "paraphrase", "neighbourhood"][KINDS.index(kind)]
            yield Claim(
                statement,
                above(found),
                f"{name}: {title_of(rome)} {interval(getattr(rome, name))}, {title_of(other)} "
                f"{interval(getattr(other, name))}; the first less the second: {points(found)}",
            )
    highest = max((one for one in found_of(findings) if one.way == "rome"), key=lambda one: one.place)
    if highest.place > rome.place:
        found = less(findings, rome, highest, "paraphrase")
        yield Claim(
            "the layer matters: an edit a third of the way up follows paraphrases more often than one at the highest layer",
            above(found),
            f"paraphrase: {rome.layer} {interval(rome.paraphrase)}, {highest.layer} {interval(highest.paraphrase)}; the first "
            f"less the second: {points(found)}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = [
        {"layer": one.place, "name": one.layer, "series": f"{one.way}: {name}"}
        | {"value": value.value, "low": value.low, "high": value.high}
        for one in found_of(findings)
        if one.way in ("rome", "tune")
        for name, value in (("paraphrase", one.paraphrase), ("neighbourhood", one.neighbourhood))
    ]
    yield Chart("edits-by-layer", "Edits at several layers.", "lines", rows, "prompts that are as they should be")


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "way": WORDS[one.way],
            "layer": one.layer,
            "facts": one.n_facts,
            "score": round(100 * one.score.value, 1),
            "efficacy": round(100 * one.efficacy.value, 1),
            "paraphrase": round(100 * one.paraphrase.value, 1),
            "neighbourhood": round(100 * one.neighbourhood.value, 1),
            "P(new) - P(old)": round(one.magnitude.value, 3),
        }
        for one in found_of(findings)
    ]
    yield Table("edits", "All ways and layers, in per cent", tuple(rows[0]), rows, side_by_side=True)


def _experiments(study: Meng2022) -> list[Experiment[Meng2022]]:
    return [
        Experiment(one.name, ConditionResult, partial(lambda one, shared, listen: run(shared, one, listen), one))
        for one in conditions(study)
    ]


CHAPTER = Chapter(
    order=1,
    experiments=_experiments,
    results={PREFIX: ConditionResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Edits",
            title="Can a fact be changed at its cells?",
            question="Does the model say the new answer, in other words too, and keep the old one for other subjects?",
            definition="""
Efficacy: P(new) > P(old) at the prompt; paraphrase: the same in other words; neighbourhood: P(old) > P(new) for other subjects
with the same old answer; score: their harmonic mean. P is the product over all tokens of an answer. rome: k* is the mean of the
layer's coefficients at the subject's last token, alone and behind openings of other texts; v* what the layer should add there;
V' = V + u L with u = C^-1 k*, L = (v* - V k*) / (u k*), and C = E[m m^T] over text. memit: all facts in one, spread over three
layers. Bounded fine-tuning: no number of a value moves by more than 2 % of their root mean square. Knowledge cells: integrated
gradients of P(old), values moved by twice the new token's row of the unembedding less the old one's. Random cells: rome's own
change, each value's move given to another cell of the layer. Told before: no change, the fact with its new answer stands before
the prompt.""",
            conclude="""
That an edit at a layer works does not say that the fact was there: edits work at layers where nothing is found (Hase et al.
2023). These are facts that the model knows well, of few relations. The papers' models are 10 to 40 times as large.""",
            applies=is_there,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
