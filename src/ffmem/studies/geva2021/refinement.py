"""Figures 9 to 11 and section 5.2: how layers refine the prediction. The experiment serves `aggregation`, too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from ffmem.analyses.agreeing import Makeup, makeup
from ffmem.analyses.elimination import Case, Elimination, cases, elimination
from ffmem.analyses.intervals import Estimate
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.refinement import (
    CASES,
    QUANTILES,
    LayerRefinement,
    Projections,
    Refinement,
    by_layer,
    measure_refinement,
    own_projections,
)
from ffmem.analyses.refinement import Case as Origin
from ffmem.store.facts import Projection
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import box_rows, interval, line_rows, pooled, share, thirds
from ffmem.studies.geva2021.study import Geva2021
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import Test, every, is_greater

_PART = "refinement-part-"
_PREFIXES_A_PART = 400
"""Prefixes that a stopped study may have to look at again."""
_ELIMINATION_CASES = "elimination-cases"
_FLAGS = ("active_agrees", "any_agrees", "active_agrees_output")
_ORDER: tuple[Origin, ...] = ("residual", "agreement", "composition", "ffn")


@dataclass(frozen=True)
class RefinementResult:
    """What happens at held-out prefixes. What happened at each lies beside it as arrays: see `refinement_of`."""

    n_prefixes: int
    n_sentences: int
    projections: Projections
    quantiles: tuple[float, ...]
    layers: tuple[LayerRefinement, ...]
    makeup: Makeup
    elimination: Elimination
    saturation: tuple[float, ...]
    """Share of prefixes whose prediction stays from each layer on."""


def _run(study: Geva2021, listen: StageListener) -> RefinementResult:
    """In parts, so that a stopped study goes on."""
    index, results, prefixes, seed = study.index, study.results, study.prefixes, study.options.seed
    values: Projection = index.manifest.projection
    projections = own_projections(study.model, values)
    parts = [_part(study, part, projections, len(prefixes), listen) for part in _parts(prefixes)]
    columns = {one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Refinement)}
    refinement, vocabulary = Refinement(**columns), index.text.vocabulary
    results.save_arrays("refinement", columns)
    results.save(_ELIMINATION_CASES, cases(refinement, prefixes, vocabulary, seed=seed))
    saturation = np.bincount(refinement.saturation_layer, minlength=index.n_layers) / len(prefixes)
    return RefinementResult(
        n_prefixes=len(prefixes),
        n_sentences=len(prefixes.sentences),
        projections=projections,
        quantiles=QUANTILES,
        layers=by_layer(index, prefixes, refinement, seed=seed),
        makeup=makeup(refinement, prefixes, vocabulary, seed=seed),
        elimination=elimination(refinement),
        saturation=tuple(saturation.tolist()),
    )


def _parts(prefixes: Prefixes) -> Iterator[tuple[int, Prefixes]]:
    """Prefixes in order, some at a time, with the number of the first."""
    for first in range(0, len(prefixes), _PREFIXES_A_PART):
        some = slice(first, first + _PREFIXES_A_PART)
        sentences, numbers = np.unique(prefixes.sentence[some], return_inverse=True)
        yield (
            first,
            Prefixes(
                sentences=tuple(prefixes.sentences[i] for i in sentences.tolist()),
                sentence_ids=prefixes.sentence_ids[sentences],
                sentence=numbers.astype(np.int64),
                position=prefixes.position[some],
            ),
        )


def _part(
    study: Geva2021, part: tuple[int, Prefixes], projections: Projections, n: int, listen: StageListener
) -> Refinement:
    first, prefixes = part
    name = f"{_PART}{first:06}"
    if not (study.results.folder / f"{name}.safetensors").exists():
        measured = measure_refinement(study.index, study.model, prefixes, projections, bos=study.index_options.bos)
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
    return f"{result.n_prefixes:,} random prefixes from {result.n_sentences:,} held-out sentences"


def _match_reading(findings: Findings) -> str:
    first, last = (refined(findings).layers[place].residual_match.value for place in (0, -1))
    return (
        f"The stream has the final prediction on top in {share(first)} of the prefixes at the lowest layer, and in "
        f"{share(last)} at the highest."
    )


def _match_numbers(findings: Findings) -> Iterator[Number]:
    low, high = (pooled(layer.residual_match for layer in part) for part in thirds(refined(findings).layers))
    yield Number.of("prediction already on top of the stream, lowest third", "about a third", low)
    yield Number.of("prediction already on top of the stream, highest third", "-", high)


def _match_claims(findings: Findings) -> Iterator[Claim]:
    low, high = (pooled(layer.residual_match for layer in part) for part in thirds(refined(findings).layers))
    yield Claim(
        "the prediction is found layer by layer",
        is_greater(high, low),
        f"lowest third {interval(low)}, highest third {interval(high)}",
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
        {"layer": number, "name": layer.layer, "value": value, "low": value, "high": value, "series": "share"}
        for number, (layer, value) in enumerate(zip(result.layers, result.saturation, strict=True))
    ]
    yield Chart("saturation", "The layer from which on the prediction stays.", "shares", rows, "prefixes")


def _probability_reading(findings: Findings) -> str:
    first, last = (refined(findings).layers[place].probability_quantiles[2] for place in (0, -1))
    return f"The median probability of the final prediction goes from {share(first)} to {share(last)} under the stream."


def _probability_numbers(findings: Findings) -> Iterator[Number]:
    layers = refined(findings).layers
    for name, layer in (("lowest", layers[0]), ("highest", layers[-1])):
        yield Number(f"median probability of the prediction, {name} layer", "-", layer.probability_quantiles[2])


def _probability_charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(refined(findings).layers, lambda layer: layer.probability_quantiles)
    caption = "Figure 10: the probability of the model's prediction under the stream."
    yield Chart("probability", caption, "boxes", rows, "probability")


def _cases_reading(findings: Findings) -> str:
    layers = refined(findings).layers
    shares = ", ".join(f"{case} {share(pooled(layer.cases[case] for layer in layers).value)}" for case in _ORDER)
    violations = sum(round(layer.violations.value * layer.violations.n) for layer in layers)
    return f"Over all layers: {shares}; {violations:,} cases that a linear reading rules out."


def _cases_numbers(findings: Findings) -> Iterator[Number]:
    for case in _ORDER:
        yield Number.of(f"{case}, all layers", "-", pooled(layer.cases[case] for layer in refined(findings).layers))


def _cases_claims(findings: Findings) -> Iterator[Claim]:
    layers = refined(findings).layers
    residual, composition, ffn = (
        pooled(layer.cases[case] for layer in layers) for case in ("residual", "composition", "ffn")
    )
    yield Claim(
        "most often the stream's candidate stays",
        _residual_leads(layers),
        f"residual {interval(residual)} over all layers; it must lead in each",
    )
    yield Claim(
        "where the candidate changes, it is rarely to the layer's own",
        is_greater(composition, ffn),
        f"composition {interval(composition)}, ffn {interval(ffn)}",
    )


def _residual_leads(layers: tuple[LayerRefinement, ...]) -> Test:
    """In each layer; it is refuted by a layer in which another case is more frequent beyond its interval."""
    others = [case for case in CASES if case != "residual"]
    return every(*(is_greater(layer.cases["residual"], layer.cases[case]) for layer in layers for case in others))


def _share_of(case: Origin) -> Callable[[LayerRefinement], Estimate]:
    return lambda layer: layer.cases[case]


def _cases_charts(findings: Findings) -> Iterator[Chart]:
    rows = line_rows(refined(findings).layers, {case: _share_of(case) for case in _ORDER})
    caption = "Figure 11: where each layer's top token comes from."
    yield Chart("cases", caption, "shares", rows, "prefixes", order=_ORDER)


def _elimination_reading(findings: Findings) -> str:
    found = refined(findings).elimination
    if not found.n:
        return "No prefix has a composition in the last layer."
    return (
        f"In {share(found.veto.value)} of {found.n:,} compositions the last layer lowers the stream's candidate against the "
        "new one."
    )


def _elimination_numbers(findings: Findings) -> Iterator[Number]:
    veto = refined(findings).elimination.veto
    yield Number.of("last-layer compositions in which the layer vetoes", "-", veto)


def _elimination_tables(findings: Findings) -> Iterator[Table]:
    drawn: tuple[Case, ...] = findings.get(_ELIMINATION_CASES, tuple)
    yield Table(
        _ELIMINATION_CASES,
        "Compositions of the last layer, to be judged",
        ("prefix", "stream's candidate (R)", "prediction (O)", "layer's own (Y)"),
        [_row(case) for case in drawn],
        holds_text=True,
    )


def _row(case: Case) -> dict[str, str | float]:
    """With an empty column for a person's judgement."""
    measured: dict[str, tuple[float, float, float]] = {
        "score of R": case.residual_token_scores,
        "score of O": case.output_token_scores,
        "rank of R": case.residual_token_ranks,
        "rank of O": case.output_token_ranks,
    }
    return {
        "prefix": case.prefix,
        "stream's candidate (R)": case.residual_token,
        "prediction (O)": case.output_token,
        "layer's own (Y)": case.ff_token,
        "related or distant": "",
        **{
            f"{name} under {where}": value
            for name, values in measured.items()
            for where, value in zip("ryo", values, strict=True)
        },
        "y raises R over O by": case.change,
    }


CHAPTER = Chapter(
    order=4,
    experiments=lambda study: [Experiment("refinement", RefinementResult, _run, parts=_PART)] if study.predicts else [],
    results={"refinement": RefinementResult, _ELIMINATION_CASES: tuple[Case, ...]},
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
        Exhibit(
            order=11.5,
            name="Section 5.2",
            title="Does the last layer eliminate candidates?",
            question="When the last layer makes a third candidate, does it argue against the stream's?",
            definition="""
Veto: y lowers the score of R against that of O. The paper had people judge 100 cases: in 66 the new token was
unrelated to the old one, in 34 related. Up to 100 cases for that lie beside this page.""",
            conclude="""
For a composition R must fall against O, so a high veto rate is to be expected; the ranks of R under y tell how
strongly the layer argues.""",
            applies=applies,
            reading=_elimination_reading,
            sample=sample,
            numbers=_elimination_numbers,
            tables=_elimination_tables,
        ),
    ),
)
