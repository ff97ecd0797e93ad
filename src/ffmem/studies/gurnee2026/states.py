"""The stream after each layer, read by every lens."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from ffmem.analyses.intervals import Estimate, mean_ratio
from ffmem.analyses.lenses.states import StateReadings, read_states
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.gurnee2026.context import Gurnee2026
from ffmem.studies.gurnee2026.shown import NAMES, Measure, Readings, Summed, claims_by_third, lines, told, written
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, below

EXPERIMENT = "states"
MEASURES: Mapping[str, Measure] = {
    "same": Measure("state: top token is the model's own"),
    "divergence": Measure("state: KL from the model's own prediction", "nats", larger_is_better=False),
    "hit": Measure("state: top token follows"),
    "loss": Measure("state: loss of the token that follows", "nats", larger_is_better=False, drawn=False),
}


@dataclass(frozen=True)
class StatesResult:
    """What lenses make of states, and what the model itself does."""

    readings: Readings
    own_hit: Estimate
    own_loss: Estimate


def _run(study: Gurnee2026, listen: StageListener) -> StatesResult:
    tested = study.parts.tested
    found = read_states(
        study.reader,
        tested,
        bos=study.bos,
        seed=study.options.seed,
        on_positions=lambda done: listen(Stage(EXPERIMENT, done, len(tested))),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(StateReadings)})
    summed, names = Summed(found.document, study.reader.of_states), study.layer_names()
    return StatesResult(
        summed.readings(
            {name: getattr(found, name) for name in MEASURES}, [names[i] for i in study.places], study.index.n_layers
        ),
        mean_ratio(summed.sums(found.own_hit.astype(float))).estimate,
        mean_ratio(summed.sums(found.own_loss)).estimate,
    )


def states(findings: Findings) -> StatesResult:
    """What came of it."""
    return findings.get(EXPERIMENT, StatesResult)


def _reading(findings: Findings) -> str:
    mean = states(findings).readings.below_last
    return (
        f"Below the last layer the top token is the model's own at {written(mean['same']['own'], '%')} of the positions, read "
        f"as the last state is, and at {written(mean['same']['jacobian'], '%')} through the Jacobian "
        f"({written(mean['same']['about means'], '%')} about the means); KL is "
        f"{written(mean['divergence']['own'], 'nats')} and {written(mean['divergence']['jacobian'], 'nats')} "
        f"({written(mean['divergence']['about means'], 'nats')})."
    )


def _sample(findings: Findings) -> str:
    found = states(findings).readings
    layers = (
        f"all {found.n_layers}" if len(found.layers) == found.n_layers else f"{len(found.layers)} of {found.n_layers}"
    )
    return (
        f"{found.n:,} positions of {found.n_documents:,} held-out documents, in {layers} layers; none of the documents that "
        "the Jacobian is made of; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = states(findings)
    for name in ("same", "divergence", "hit"):
        for lens in found.readings.lenses:
            measure = MEASURES[name]
            quantity = f"{measure.title}, mean of layers below the last: {NAMES[lens]}"
            yield Number.of(quantity, "-", found.readings.below_last[name][lens], measure.unit)
    yield Number.of("the model's own top token follows", "-", found.own_hit)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    found = states(findings).readings
    summed, names = Summed(np.asarray(arrays["document"]), found.lenses), [one.layer for one in found.layers]
    for name, statement in (
        ("same", "the top token is more often the model's own through the Jacobian than read as the last state"),
        ("divergence", "the prediction through the Jacobian is nearer to the model's own than read as the last state"),
    ):
        yield from claims_by_third(summed, names, np.asarray(arrays[name]), MEASURES[name], statement)
    same, divergence = np.asarray(arrays["same"])[:, :-1], np.asarray(arrays["divergence"])[:, :-1]
    gain = mean_ratio(summed.sums(summed.gain(same, less="another layer")).differences)
    yield Claim(
        "the Jacobian of a layer reads its states better than that of another layer",
        above(gain),
        f"top token as the model's, below the last layer: {told(gain, '%')}",
    )
    gain = mean_ratio(summed.sums(summed.gain(divergence, of="about means")).differences)
    yield Claim(
        "about the means, the Jacobian's prediction is nearer to the model's own than the state read as the last one",
        below(gain, unit="nats"),
        f"KL, below the last layer: {told(gain, 'nats')}",
    )


def charts_of(found: Readings, measures: Mapping[str, Measure], prefix: str) -> Iterator[Chart]:
    """One for each measure that is drawn."""
    for name, measure in measures.items():
        if measure.drawn:
            yield Chart(
                f"{prefix}-{name}".replace(", ", "-").replace(" ", "-"),
                f"{measure.title[0].upper()}{measure.title[1:]}, by layer.",
                "lines",
                lines(found, name),
                "share" if measure.unit == "%" else measure.unit or "correlation",
                percent=measure.unit == "%",
            )


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment(EXPERIMENT, StatesResult, _run)],
    results={EXPERIMENT: StatesResult},
    exhibits=(
        Exhibit(
            order=2,
            name="States",
            title="What a layer's state says of the prediction",
            question="Read after each layer, does a state say what the model will predict, and through which lens best?",
            definition="""
h, the stream after a layer, is read over the vocabulary: raw (U h), folded (the final norm's gain and centring in U), as the
last state is (its norm, then U: the projection final-norm; of a model without one, its own head), through the Jacobian (J h,
read as the last state), and through it about the means (E[h_last] + J (h - E[h]), which the paper does not do). KL(p || q) is
from the model's own p; the model's own prediction is what "read as the last state" gives in the last layer. Raw and folded have
no scale, so that their KL says little. What must not read well: J of a layer half of the stack away, and a random direction of
the length of J h.""",
            conclude="""
Which linear reading comes nearest to what the layers above make of a state. That the top token agrees early does not say that
the model has decided; a lens may also read what attention to other tokens will change. J is an average: it reads what is common
to all text.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=lambda findings: charts_of(states(findings).readings, MEASURES, "states"),
        ),
    ),
)
