"""What a coefficient is made of: last words, position, and what came before. What is measured here, `depth` tells of, too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import LayerMeaning, Meaning, Measure
from ffmem.errors import InputError
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, percent
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import share, told_as
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import below, every

Rows = list[dict[str, Any]]
_STACK: tuple[Measure, ...] = ("token", "n-grams", "position", "earlier words", "unexplained")


@dataclass(frozen=True)
class MeaningResult:
    """What decides coefficients, by layer and depth."""

    meaning: Meaning | None
    """None if it could not be asked."""
    why_not: str | None


def _run(study: Geva2021, listen: StageListener) -> MeaningResult:
    # with it comes all that loads models: seconds, for whoever only reads results
    from ffmem.analyses.meaning.measure import measure_meaning

    begin, options = Stage("meaning", 0, 0), study.options
    try:
        found = measure_meaning(
            study.index,
            study.model,
            study.results.folder,
            n_positions=options.meaning_positions,
            n_cells=options.meaning_cells,
            n_transplanted=options.transplanted,
            seed=options.seed,
            on_stage=lambda name, done, n: listen(replace(begin, experiment=f"meaning, {name}", done=done, total=n)),
        )
    except InputError as error:  # a text that is too small leaves the rest of a study as it is
        return MeaningResult(None, error.got)
    return MeaningResult(found, None)


def meaning_of(findings: Findings) -> Meaning:
    """What was found."""
    found = findings.get("meaning", MeaningResult).meaning
    assert found is not None
    return found


def applies(findings: Findings) -> bool:
    """Whether it could be asked."""
    return "meaning" in findings.values and findings.get("meaning", MeaningResult).meaning is not None


def sample(findings: Findings) -> str:
    """How much it was measured on."""
    found = meaning_of(findings)
    return (
        f"{found.n_positions:,} positions of {found.n_sentences:,} sentences of {found.n_documents:,} documents; up to "
        f"{found.n_cells:,} cells of each layer; contexts replaced at {found.n_transplanted:,} positions"
    )


def context_of(found: Meaning) -> str:
    """What stands around a position but not near it."""
    return "earlier words" if found.causal else "the other words of the sentence"


def _stack_reading(findings: Findings) -> str:
    found = meaning_of(findings)
    parts = [found.layers[place].measures for place in (0, -1)]
    if any("token" not in one for one in parts):
        return "No cell of the lowest or the highest layer is active often enough to say."
    (low_token, low_near), (high_token, high_near) = (
        (one["token"].value, one["n-grams"].value + one["position"].value) for one in parts
    )
    return (
        f"In the lowest layer the last token tells {share(low_token)} of the variance of a coefficient, n-grams and position "
        f"add {share(low_near)}; in the highest it is {share(high_token)} and {share(high_near)}."
    )


def _stack_numbers(findings: Findings) -> Iterator[Number]:
    found = meaning_of(findings)
    names: Mapping[Measure, str] = {
        "token": "variance that the last token tells",
        "n-grams": "variance that the last two and three tokens add",
        "kept": "coefficient kept in another context",
    }
    for measure, name in names.items():
        if measure in found.trends:
            trend = found.trends[measure]
            yield Number.of(f"{name}, lowest third", "-", trend.bottom)
            yield Number.of(f"{name}, highest third", "-", trend.top)


def _stack_claims(findings: Findings) -> Iterator[Claim]:
    found = meaning_of(findings)
    told = [name for name in _shallow_measures(found) if name in found.trends]
    if told:
        contrasts = [found.trends[name].contrast for name in told]
        words = {"token": "variance told by the last token", "kept": "coefficient kept in another context"}
        yield Claim(
            "lower layers are shallower: upper ones depend less on the last words",
            every(*(below(told_as(one)) for one in contrasts)),
            "; ".join(
                f"{words[name]}, highest less lowest third: {points(one)}"
                for name, one in zip(told, contrasts, strict=True)
            ),
        )


def _shallow_measures(found: Meaning) -> Sequence[Measure]:
    return ("token", "kept") if "kept" in found.trends else ("token",)


def points(estimate: Estimate) -> str:
    """A difference of shares, in points."""
    low, high = percent(estimate.low), percent(estimate.high)
    return f"{percent(estimate.value)} points ({low} to {high})"


def _stack_charts(findings: Findings) -> Iterator[Chart]:
    found = meaning_of(findings)
    context = context_of(found)
    yield Chart(
        "variance-parts",
        "What a coefficient is made of: the share of its variance on text that nothing was fitted to.",
        "shares",
        [
            {"layer": place, "name": layer.layer, "series": context if name == "earlier words" else name}
            | {end: max(0.0, value) for end, value in _ends(layer.measures[name]).items()}
            for place, layer in enumerate(found.layers)
            for name in _STACK
            if name in layer.measures
        ],
        "variance of coefficients",
        order=tuple(context if name == "earlier words" else name for name in _STACK),
    )
    kept = [*measure_rows(found.layers, "kept", "cells"), *measure_rows(found.directions, "kept", "random directions")]
    if kept:
        yield Chart(
            "kept-in-other-context",
            "What is left of a coefficient when all but the last two words are another text's.",
            "lines",
            kept,
            "share of the coefficient",
        )


def _ends(estimate: Estimate) -> dict[str, float]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high")}


def measure_rows(layers: Sequence[LayerMeaning], measure: Measure, series: str) -> Rows:
    """Rows of a chart of lines, of the layers that have a measure."""
    return [
        {"layer": place, "name": layer.layer, "series": series} | plain(layer.measures[measure])
        for place, layer in enumerate(layers)
        if measure in layer.measures and layer.measures[measure].value == layer.measures[measure].value
    ]


def _notes(findings: Findings) -> Iterator[str]:
    for reason in meaning_of(findings).left_out:
        yield f"Left out: {reason}."


def _no_meaning(findings: Findings) -> bool:
    return "meaning" in findings.values and not applies(findings)


CHAPTER = Chapter(
    order=2.5,
    experiments=lambda _: [Experiment("meaning", MeaningResult, _run)],
    results={"meaning": MeaningResult},
    exhibits=(
        Exhibit(
            order=2.3,
            name="Section 3",
            title="What a coefficient is made of",
            question="How much of a cell's coefficient do the last words decide, and how much is left for what came before?",
            definition="""
The variance of each cell's coefficient over random positions is split: the last token first, then what the last two and three
tokens add, then the position in the sentence, then earlier words (their vector by latent semantic analysis of this text, a
ridge regression). Every part is fitted on some documents and told on others, and shrunk where it is seen seldom. Transplants:
all but the last two tokens are replaced by as long a beginning of another document's sentence, and the coefficient is measured
again at each cell's strongest positions; nothing is fitted. Intervals draw documents anew.""",
            conclude="""
What is unexplained is not noise: it is what these plain parts miss, order and grammar among it. A network that learnt nothing
depends on the last words as well: the fall with depth counts beside an untrained model.""",
            applies=applies,
            reading=_stack_reading,
            sample=sample,
            numbers=_stack_numbers,
            claims=_stack_claims,
            charts=_stack_charts,
            notes=_notes,
        ),
        Exhibit(
            order=2.4,
            name="Section 3",
            title="What a coefficient is made of",
            question="How much of a cell's coefficient do the last words decide, and how much is left for what came before?",
            definition="The variance of coefficients, split into last words, position, topic and words further back.",
            conclude="Nothing here: it was not measured.",
            applies=_no_meaning,
            reading=lambda findings: f"Left out: {findings.get('meaning', MeaningResult).why_not}.",
            sample=lambda _: "none",
        ),
    ),
)
