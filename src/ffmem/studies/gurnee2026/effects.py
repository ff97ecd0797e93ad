"""What single cells write, read by every lens, against what the model's scores do without it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np

from ffmem.analyses.intervals import mean_ratio
from ffmem.analyses.lenses.effects import KINDS, Effects, measure_effects
from ffmem.analyses.prefixes import Continued
from ffmem.studies.exhibit import Claim, Exhibit, Number
from ffmem.studies.gurnee2026.context import Gurnee2026
from ffmem.studies.gurnee2026.shown import NAMES, Measure, Readings, Summed, claims_by_third, told, written
from ffmem.studies.gurnee2026.states import charts_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "effects"
STRONGEST, DRAWN = (f"correlation, {kind}" for kind in KINDS)
MEASURES: Mapping[str, Measure] = {
    STRONGEST: Measure("effect of the strongest cell: correlation with the lens", ""),
    DRAWN: Measure("effect of a random active cell: correlation with the lens", ""),
    "same": Measure("effect of the strongest cell: the token that gains the most", drawn=False),
}


def _run(study: Gurnee2026, listen: StageListener) -> Readings:
    some = study.parts.tested.some(study.options.effect_positions, seed=study.options.seed)
    found = measure_effects(
        study.reader,
        Continued(some.prefixes, some.following),
        bos=study.bos,
        seed=study.options.seed,
        on_prefix=lambda done: listen(Stage(EXPERIMENT, done, len(some))),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(Effects)})
    names = study.layer_names()
    measured = _measured(found.correlation, found.same)
    summed = Summed(found.document, study.reader.of_vectors)
    return summed.readings(measured, [names[i] for i in study.places], study.index.n_layers)


def _measured(correlation: np.ndarray, same: np.ndarray) -> dict[str, np.ndarray]:
    return {
        STRONGEST: correlation[:, :, 0].astype(float),
        DRAWN: correlation[:, :, 1].astype(float),
        "same": same[:, :, 0].astype(float),
    }


def effects(findings: Findings) -> Readings:
    """What came of it."""
    return findings.get(EXPERIMENT, Readings)


def _reading(findings: Findings) -> str:
    mean = effects(findings).below_last[STRONGEST]
    return (
        "Below the last layer, what the strongest cell writes is correlated with what it does to the scores by "
        f"{written(mean['own'], '')}, read as the last state is, and by {written(mean['jacobian'], '')} through the Jacobian."
    )


def _sample(findings: Findings) -> str:
    found = effects(findings)
    return (
        f"two cells of each of {len(found.layers)} layers, taken off at the last token of {found.n:,} prefixes of held-out "
        f"text of {found.n_documents:,} documents; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = effects(findings)
    for name, measure in MEASURES.items():
        for lens in found.lenses:
            yield Number.of(
                f"{measure.title}, mean of layers below the last: {NAMES[lens]}",
                "-",
                found.below_last[name][lens],
                measure.unit,
            )


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    found = effects(findings)
    names = [one.layer for one in found.layers]
    summed = Summed(np.asarray(arrays["document"]), found.lenses)
    measured = _measured(np.asarray(arrays["correlation"]), np.asarray(arrays["same"]))
    yield from claims_by_third(
        summed,
        names,
        measured[STRONGEST],
        MEASURES[STRONGEST],
        "what the strongest cell does to the scores is nearer to what it writes, read through the Jacobian than as the "
        "last state",
    )
    yield from claims_by_third(
        summed,
        names,
        measured[DRAWN],
        MEASURES[DRAWN],
        "what a random active cell does to the scores is nearer to what it writes, read through the Jacobian than as the last "
        "state",
    )
    gain = mean_ratio(summed.sums(summed.gain(measured[STRONGEST], less="another layer")[:, :-1]).differences)
    yield Claim(
        "the Jacobian of a layer tells the effect of its strongest cell better than that of another layer",
        above(gain, unit=""),
        f"correlation, below the last layer: {told(gain, '')}",
    )


CHAPTER = Chapter(
    order=3,
    experiments=lambda _: [Experiment(EXPERIMENT, Readings, _run)],
    results={EXPERIMENT: Readings},
    exhibits=(
        Exhibit(
            order=4,
            name="Effects",
            title="What a cell does to the prediction",
            question="Do the scores that a cell's contribution is read as say what the model's scores do without it?",
            definition="""
At the last token of a prefix, m v of one cell is taken off the layer's output, and the layers above go on from there: what the
scores lose is the cell's effect. A lens says it, too: raw and folded, U m v; as the last state, what the scores lose without m
v in the last state; through the Jacobian, the same without J m v. Their correlation over the vocabulary, the mean of all tokens
taken off; and whether the same token gains the most. The cell is the one of largest |m| x length of v, or a random one with m
other than 0. In the last layer all but raw and folded are exact,
if no norm stands behind it.""",
            conclude="""
This is what a lens of values is to say: what a cell does, all layers above included. Effects are taken at the same token alone;
what a cell does to later tokens through attention is not in them. A cell's effect is not small: it may be far from linear.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=lambda findings: charts_of(effects(findings), MEASURES, "effects"),
        ),
    ),
)
