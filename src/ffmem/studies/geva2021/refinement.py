"""Figures 9 to 11 and section 5.2: how layers refine the prediction. The experiment serves `aggregation`, too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int64

from ffmem.analyses.agreeing import Makeup, makeup
from ffmem.analyses.contributors import KINDS, Others, measure_others
from ffmem.analyses.elimination import Case, Elimination, cases, elimination
from ffmem.analyses.intervals import Estimate, Sums, each_ratio, mean_ratio, numbered, ratios
from ffmem.analyses.refined_layers import LayerRefinement, RefinedLayers, by_layer
from ffmem.analyses.refinement import (
    CASES,
    QUANTILES,
    Projections,
    Refinement,
    measure_refinement,
    own_projections,
    value_lengths,
)
from ffmem.analyses.refinement import Case as Origin
from ffmem.store.facts import Projection
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import (
    average,
    box_rows,
    interval,
    line_rows,
    means_of_thirds,
    points,
    share,
    upper_less_lower,
)
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, every

ELIMINATION_CASES = "elimination-cases"
"""Compositions of the last layer, for people to judge."""
_PART = "refinement-part-"
_PREFIXES_A_PART = 400
"""Prefixes that a stopped study may have to look at again."""
_ARRAYS = "refinement"
_FLAGS = ("any_agrees", "active_agrees_output", *(f"{kind}_agrees" for kind in KINDS))
_ORDER: tuple[Origin, ...] = ("residual", "agreement", "composition", "ffn")


@dataclass(frozen=True)
class RefinementResult:
    """What happens at held-out prefixes. What happened at each lies beside it as arrays: see `refinement_of`."""

    n_prefixes: int
    n_sentences: int
    projections: Projections
    quantiles: tuple[float, ...]
    n_documents: int
    of_layers: RefinedLayers
    makeup: Makeup
    elimination: Elimination
    saturation: tuple[Estimate, ...]
    """Share of prefixes whose prediction stays from each layer on."""

    @property
    def layers(self) -> tuple[LayerRefinement, ...]:
        """Layer by layer."""
        return self.of_layers.layers


def _run(study: Geva2021, listen: StageListener) -> RefinementResult:
    """In parts, so that a stopped study goes on."""
    index, results, prefixes, seed = study.index, study.results, study.prefixes, study.options.seed
    values: Projection = index.manifest.projection
    projections = own_projections(study.model, values)
    others = _Others(study)
    firsts = range(0, len(prefixes), _PREFIXES_A_PART)
    parts = [_part(study, first, projections, others, listen) for first in firsts]
    columns = {one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Refinement)}
    refinement, vocabulary = Refinement(**columns), index.text.vocabulary
    results.save_arrays(_ARRAYS, columns)
    results.save(ELIMINATION_CASES, cases(refinement, prefixes, vocabulary, seed=seed))
    groups, n_groups = numbered(refinement.document)
    stays_from = refinement.saturation_layer[:, None] == np.arange(index.n_layers)
    return RefinementResult(
        n_prefixes=len(prefixes),
        n_sentences=len(prefixes.sentences),
        n_documents=len(np.unique(refinement.document)),
        projections=projections,
        quantiles=QUANTILES,
        of_layers=by_layer(index, refinement, seed=seed),
        makeup=makeup(refinement, prefixes, vocabulary, seed=seed),
        elimination=elimination(refinement, index.manifest.model.d_vocab, seed=seed),
        saturation=tuple(ratios(Sums.of(stays_from, groups, n_groups), seed=seed)),
    )


class _Others:
    """What chance is taken from: the same for all parts, and measured only if one has to be."""

    def __init__(self, study: Geva2021) -> None:
        self._study = study

    @cached_property
    def measured(self) -> Others:
        study = self._study
        return measure_others(study.model, study.prefixes, value_lengths(study.model), bos=study.index_options.bos)


def _part(study: Geva2021, first: int, projections: Projections, others: _Others, listen: StageListener) -> Refinement:
    name, n = f"{_PART}{first:06}", len(study.prefixes)
    prefixes = study.prefixes.some(slice(first, first + _PREFIXES_A_PART))
    if not study.results.has_arrays(name):
        measured = measure_refinement(
            study.index,
            study.model,
            prefixes,
            projections,
            bos=study.index_options.bos,
            others=others.measured,
        )
        study.results.save_arrays(name, {one.name: getattr(measured, one.name) for one in fields(Refinement)})
    listen(Stage("refinement", first + len(prefixes), n))
    return refinement_of(study.results.load_arrays(name))


def refinement_of(arrays: dict[str, np.ndarray]) -> Refinement:
    """A stored refinement."""
    return Refinement(**{name: array.astype(bool) if name in _FLAGS else array for name, array in arrays.items()})


def applies(findings: Findings) -> bool:
    """Whether predictions were looked at."""
    return "refinement" in findings.values


def refined(findings: Findings) -> RefinementResult:
    """What came of it."""
    return findings.get("refinement", RefinementResult)


def sample(findings: Findings) -> str:
    """What it was measured on."""
    result = refined(findings)
    return (
        f"{result.n_prefixes:,} random prefixes from {result.n_sentences:,} held-out sentences of {result.n_documents:,} "
        "documents; intervals by drawing documents"
    )


@dataclass(frozen=True)
class AtPrefixes:
    """What happened at each prefix, ready to be summed by document."""

    found: Refinement
    groups: Int64[np.ndarray, " n"]
    n_groups: int

    def sums(self, values: Float[np.ndarray, "n layers"]) -> Sums:
        """Of a number for each prefix and layer; their ratios are the means of the layers."""
        return Sums.of(values, self.groups, self.n_groups)


def at_prefixes(findings: Findings) -> AtPrefixes:
    """The arrays that lie beside the result."""
    found = refinement_of(Results(findings.folder, findings.header).load_arrays(_ARRAYS))
    return AtPrefixes(found, *numbered(found.document))


def _matches(findings: Findings) -> Sums:
    at = at_prefixes(findings)
    return at.sums(at.found.residual_top == at.found.prediction[:, None])


def _match_reading(findings: Findings) -> str:
    first, last = (refined(findings).layers[place].residual_match.value for place in (0, -1))
    return (
        f"The stream has the final prediction on top in {share(first)} of the prefixes at the lowest layer, and in "
        f"{share(last)} at the highest."
    )


def _match_numbers(findings: Findings) -> Iterator[Number]:
    low, high = means_of_thirds(_matches(findings))
    yield Number.of(
        "prediction already on top of the stream, lowest third of the layers", "about a third", low.estimate
    )
    yield Number.of("prediction already on top of the stream, highest third", "-", high.estimate)


def _match_claims(findings: Findings) -> Iterator[Claim]:
    matches = _matches(findings)
    (low, high), gain = means_of_thirds(matches), upper_less_lower(matches)
    yield Claim(
        "the prediction is found layer by layer",
        above(gain),
        f"prediction on top of the stream: lowest third of the layers {interval(low.estimate)}, highest third "
        f"{interval(high.estimate)}; the second less the first, of the same documents: {points(gain)}",
    )


def _match_charts(findings: Findings) -> Iterator[Chart]:
    result = refined(findings)
    rows = line_rows(
        result.layers,
        {
            "before the feed-forward layer (r)": lambda layer: layer.residual_match,
            "after it (o)": lambda layer: layer.output_match,
        },
    )
    caption = "Figure 9: how early the stream has the model's prediction on top."
    yield Chart("residual-match", caption, "lines", rows, "prefixes with the final prediction on top")
    rows = [
        {"layer": number, "name": layer.layer, "series": "share"} | plain(estimate)
        for number, (layer, estimate) in enumerate(zip(result.layers, result.saturation, strict=True))
    ]
    yield Chart("saturation", "The layer from which on the prediction stays.", "shares", rows, "prefixes")


def _probability_reading(findings: Findings) -> str:
    first, last = (refined(findings).layers[place].probability_quantiles[2] for place in (0, -1))
    return f"The median probability of the final prediction goes from {share(first)} to {share(last)} under the stream."


def _probability_numbers(findings: Findings) -> Iterator[Number]:
    layers = refined(findings).layers
    for name, layer in (("lowest", layers[0]), ("highest", layers[-1])):
        yield Number.of(f"median probability of the prediction, {name} layer", "-", layer.probability_median)


def _probability_charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(refined(findings).layers, lambda layer: layer.probability_quantiles)
    caption = "Figure 10: the probability of the model's prediction under the stream."
    yield Chart("probability", caption, "boxes", rows, "probability")


def _cases_reading(findings: Findings) -> str:
    layers = refined(findings).layers
    shares = ", ".join(f"{case} {share(average(layer.cases[case].value for layer in layers))}" for case in _ORDER)
    violations = sum(round(layer.violations.value * layer.violations.n) for layer in layers)
    return f"Means over layers: {shares}; {violations:,} cases that a linear reading rules out."


def _case(at: AtPrefixes, case: Origin) -> Bool[np.ndarray, "n layers"]:
    flags: np.ndarray = at.found.cases == CASES.index(case)
    return flags


def _cases_numbers(findings: Findings) -> Iterator[Number]:
    at = at_prefixes(findings)
    for case in _ORDER:
        yield Number.of(f"{case}, mean of layers", "-", mean_ratio(at.sums(_case(at, case))).estimate)


def _cases_claims(findings: Findings) -> Iterator[Claim]:
    at = at_prefixes(findings)
    yield _residual_leads(at, [layer.layer for layer in refined(findings).layers])
    composition, ffn = (mean_ratio(at.sums(_case(at, case))) for case in ("composition", "ffn"))
    more = mean_ratio(at.sums(_case(at, "composition") * 1.0 - _case(at, "ffn")).differences)
    yield Claim(
        "where the candidate changes, it is rarely to the layer's own",
        above(more),
        f"means of layers: to a third candidate (composition) {interval(composition.estimate)}, to the layer's own (ffn) "
        f"{interval(ffn.estimate)}; the first less the second, of the same documents: {points(more)}",
    )


def _residual_leads(at: AtPrefixes, names: Sequence[str]) -> Claim:
    """In each layer, against each other case."""
    residual = _case(at, "residual") * 1.0
    leads = [
        (above(lead), lead, names[place], case)
        for case in CASES
        if case != "residual"
        for place, lead in enumerate(each_ratio(at.sums(residual - _case(at, case)).differences))
    ]
    _, least, name, case = min(leads, key=lambda one: one[1].value)
    return Claim(
        "most often the stream's candidate stays",
        every(*(test for test, *_ in leads)),
        f"residual must lead each other case in each layer; its smallest lead is {points(least)}, before {case} in {name}",
    )


def _share_of(case: Origin) -> Callable[[LayerRefinement], Estimate]:
    return lambda layer: layer.cases[case]


def _cases_charts(findings: Findings) -> Iterator[Chart]:
    rows = line_rows(refined(findings).layers, {case: _share_of(case) for case in _ORDER})
    caption = "Figure 11: where each layer's top token comes from."
    yield Chart("cases", caption, "shares", rows, "prefixes", order=_ORDER)


CHAPTER = Chapter(
    order=4,
    experiments=lambda study: [Experiment("refinement", RefinementResult, _run, parts=_PART)] if study.predicts else [],
    results={"refinement": RefinementResult, ELIMINATION_CASES: tuple[Case, ...]},
    exhibits=(
        Exhibit(
            order=9,
            name="Figure 9",
            title="When the prediction is there",
            question="How often does the stream already have the final prediction on top?",
            definition="""
The share of prefixes with top(r) = w, r being the stream before the feed-forward layer and w the model's own
prediction; and the same after the layer.""",
            conclude="""
It shows when the top token stops changing under this reading. Other readings (a trained translator for each layer)
find it earlier.""",
            applies=applies,
            reading=_match_reading,
            sample=sample,
            numbers=_match_numbers,
            claims=_match_claims,
            charts=_match_charts,
        ),
        Exhibit(
            order=10,
            name="Figure 10",
            title="How sure the stream is",
            question="What probability does the stream give the final prediction?",
            definition="The probability of w under r, read as a final state is; over prefixes, as in Figure 5.",
            conclude="Probabilities depend on the length of r, which grows through the layers.",
            applies=applies,
            reading=_probability_reading,
            sample=sample,
            numbers=_probability_numbers,
            charts=_probability_charts,
        ),
        Exhibit(
            order=11,
            name="Figure 11",
            title="Where each layer's candidate comes from",
            question="Does the layer keep the stream's candidate, put its own in its place, or make a third?",
            definition="""
With R, Y, O the top tokens of r, y and o = r + y: residual O = R, not Y; agreement O = R = Y; ffn O = Y, not R;
composition: neither.""",
            conclude="""
It describes top tokens only. R = Y with another O cannot happen where scores are linear without a constant; where
it happens it is counted.""",
            applies=applies,
            reading=_cases_reading,
            sample=sample,
            numbers=_cases_numbers,
            claims=_cases_claims,
            charts=_cases_charts,
        ),
    ),
)
