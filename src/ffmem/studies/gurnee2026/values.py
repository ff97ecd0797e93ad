"""Values read by every lens, against the tokens that follow the triggers of their keys."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np

from ffmem.analyses.intervals import mean_ratio
from ffmem.analyses.lenses.following import ValueReadings, read_values
from ffmem.studies.exhibit import Claim, Exhibit, Number
from ffmem.studies.gurnee2026.context import Gurnee2026
from ffmem.studies.gurnee2026.shown import NAMES, Measure, Readings, Summed, claims_by_third, told, written
from ffmem.studies.gurnee2026.states import charts_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "values"
MEASURES: Mapping[str, Measure] = {
    "agrees": Measure("value: top token follows the best trigger"),
    "of_triggers": Measure("value: triggers that the top token follows", drawn=False),
    "above": Measure("value: vocabulary above the token that follows", larger_is_better=False),
}


def _run(study: Gurnee2026, listen: StageListener) -> Readings:
    found = read_values(
        study.reader,
        study.index,
        n_cells=study.options.cells,
        seed=study.options.seed,
        on_layer=lambda done: listen(Stage(EXPERIMENT, done, len(study.places))),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(ValueReadings)})
    names = study.layer_names()
    measured = {name: by_layer(getattr(found, name), found.layer, len(study.places)) for name in MEASURES}
    summed = Summed(found.document, study.reader.of_vectors)
    return summed.readings(measured, [names[i] for i in study.places], study.index.n_layers)


def by_layer(values: np.ndarray, layer: np.ndarray, n_layers: int) -> np.ndarray:
    """(cells, layers, lenses) of (cells, lenses): NaN in all layers but a cell's own."""
    found = np.full((len(values), n_layers, values.shape[1]), np.nan)
    found[np.arange(len(values)), layer] = values
    return found


def values(findings: Findings) -> Readings:
    """What came of it."""
    return findings.get(EXPERIMENT, Readings)


def _reading(findings: Findings) -> str:
    mean = values(findings).below_last
    return (
        f"Below the last layer {written(mean['agrees']['own'], '%')} of the values have the token that follows the best "
        f"trigger on top, read as the last state is, and {written(mean['agrees']['jacobian'], '%')} through the Jacobian; "
        f"that token has {written(mean['above']['own'], '%')} and {written(mean['above']['jacobian'], '%')} of the "
        "vocabulary above it."
    )


def _sample(findings: Findings) -> str:
    found = values(findings)
    return (
        f"{found.n:,} values of {len(found.layers)} layers (of gated cells with both signs) whose key has a trigger in the "
        f"index that a token follows, in {found.n_documents:,} documents; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = values(findings)
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
    found = values(findings)
    names = [one.layer for one in found.layers]
    summed = Summed(np.asarray(arrays["document"]), found.lenses)
    measured = {
        name: by_layer(np.asarray(arrays[name]).astype(float), np.asarray(arrays["layer"]), len(names))
        for name in MEASURES
    }
    yield from claims_by_third(
        summed,
        names,
        measured["above"],
        MEASURES["above"],
        "the token that follows a cell's best trigger ranks higher in its value, read through the Jacobian than as the "
        "last state",
    )
    gain = mean_ratio(summed.sums(summed.gain(measured["agrees"])[:, :-1]).differences)
    yield Claim(
        "through the Jacobian more values have the token that follows their best trigger on top",
        above(gain),
        f"below the last layer: {told(gain, '%')}",
    )


CHAPTER = Chapter(
    order=2,
    experiments=lambda _: [Experiment(EXPERIMENT, Readings, _run)],
    results={EXPERIMENT: Readings},
    exhibits=(
        Exhibit(
            order=3,
            name="Values",
            title="What a value says of the next token",
            question="Does the token that a value is read as follow the triggers of its key, and through which lens most?",
            definition="""
The value of a cell, as it reaches the stream, is read as a vector over the vocabulary: raw, folded, as if it were a last state
(the projection final-norm), and through the Jacobian (J v, folded, since v is added to a state). Held against it are the tokens
that follow the triggers of the cell's key in the index, as the agreement rate of Geva et al. (2021) has it. Cells are drawn at
random. Of a control of the model the values are its own, and the triggers are those of the model: what is seen there is
chance.""",
            conclude="""
Whether the layers above turn values towards what follows. Agreement is rare below the upper layers by any lens; where it stays
near chance a lens is not shown to be better by it; what a random direction comes to is what frequent words get by any lens. The
index holds the text that triggers are of; the Jacobian is made of held-out text.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=lambda findings: charts_of(values(findings), MEASURES, "values"),
        ),
    ),
)
