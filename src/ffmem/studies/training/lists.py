"""When cells get the triggers that they keep: overlap of trigger lists with those of the last moment, and of the one before."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.through_training.settling import settled, share_settled
from ffmem.analyses.through_training.triggers import (
    another,
    chance,
    firing_tokens,
    half_of,
    overlap,
    sentences_of,
)
from ffmem.analyses.through_training.triggers import shared as in_both
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import means_of_thirds, upper_less_lower
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import (
    Course,
    Units,
    arrays_of,
    as_numbers,
    at_end,
    by_layer,
    chart,
    courses,
    mean_of,
    median_moment,
    moments_in,
    shape_of,
    units_in,
    when,
)
from ffmem.studies.verdicts import above

EXPERIMENT = "lists"
HALF = 0.5
"""Overlap with the last moment from which on the triggers of a cell count as those that it keeps."""


@dataclass(frozen=True)
class ListsResult:
    """Trigger lists through training."""

    to_last: tuple[Course, ...]
    """Rank-biased overlap with the list of the last moment."""
    to_previous: tuple[Course, ...]
    """With that of the moment before; from the second moment on."""
    floor: tuple[Course, ...]
    """Of the list of another cell of the layer with this cell's list of the last moment."""
    sentences: tuple[Course, ...]
    """Jaccard index of the sentences of both lists, with the last moment."""
    across: tuple[Course, ...]
    """Overlap of the tokens that it fires on in one half of the documents with those in the other half at the last moment: the
    last number of each is the ceiling, which no change can pass."""
    across_floor: tuple[Course, ...]
    """The same of another cell of the layer."""
    chance: float
    """What `sentences` would be of lists drawn by lot."""


def _run(study: Training, listen: StageListener) -> ListsResult:
    last, half = len(study.moments) - 1, half_of(study.index.manifest.counts.n_documents, study.options.seed)
    names = ("to_last", "to_previous", "floor", "sentences", "across", "across_floor")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for place in study.places:
        end = study.lists(last, place)
        end_sentences, end_tokens = sentences_of(study.index, end), firing_tokens(study.index, end, ~half)
        others = another(len(end))
        rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
        before = end
        for moment in range(last + 1):
            own = study.lists(moment, place)
            tokens = firing_tokens(study.index, own, half)
            rows["to_last"].append(overlap(own, end))
            rows["floor"].append(overlap(own[others], end))
            rows["sentences"].append(in_both(sentences_of(study.index, own), end_sentences))
            rows["across"].append(overlap(tokens, end_tokens))
            rows["across_floor"].append(overlap(tokens[others], end_tokens))
            if moment:
                rows["to_previous"].append(overlap(before, own))
            before = own
        for name in names:
            parts[name].append(np.stack(rows[name]))
        listen(Stage(EXPERIMENT, place + 1, len(study.places)))
    arrays = {name: np.concatenate(some, axis=1) for name, some in parts.items()}
    units = Units(study.layer_of, study.document_of, tuple(study.layer_names()))
    kept = {name: values.astype(np.float32) for name, values in arrays.items()}
    study.results.save_arrays(EXPERIMENT, kept | {"layer": study.layer_of, "document": study.document_of})
    found = courses(arrays, units)
    n_sentences = study.index.manifest.counts.n_sentences
    return ListsResult(**found, chance=chance(study.index.top, n_sentences))


def settled_triggers(findings: Findings) -> np.ndarray:
    """The moment from which on each cell has the triggers that it keeps; -1 for a cell without any at the last."""
    to_last = arrays_of(findings, EXPERIMENT)["to_last"]
    with np.errstate(invalid="ignore"):
        return settled(to_last >= HALF)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> ListsResult:
    return findings.get(EXPERIMENT, ListsResult)


def _reading(findings: Findings) -> str:
    found, moment = _found(findings), median_moment(settled_triggers(findings))
    told = (
        "" if moment != moment else f" Half of the cells have the triggers that they keep by {when(findings, moment)}."
    )
    return (
        f"Between the last two moments the trigger lists of a cell overlap by {at_end(found.to_previous):.2f} in the "
        "mean, between "
        f"the first moment and the last by {at_end(found.to_last, 0):.2f}; with another cell of the layer by "
        f"{at_end(found.floor):.2f}.{told}"
    )


def _sample(findings: Findings) -> str:
    shape = shape_of(findings)
    return (
        f"the lists of {shape['n_cells']:,} cells at {len(moments_in(findings))} moments, up to {shape['top']} triggers each, "
        "over "
        f"{shape['n_sentences']:,} sentences; a cell that never fires at either moment is left out; "
        "intervals by "
        "drawing the documents of the best triggers anew"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays, found = arrays_of(findings, EXPERIMENT), _found(findings)
    units = units_in(findings, arrays)
    for quantity, values in (
        ("overlap of the last two moments", arrays["to_previous"][-1]),
        ("overlap of the first moment and the last", arrays["to_last"][0]),
        ("overlap with another cell of the layer (floor)", arrays["floor"][-1]),
        ("firing tokens, halves of the text at the last moment (ceiling)", arrays["across"][-1]),
        ("firing tokens, halves of the text at the moment before and the last", arrays["across"][-2]),
        ("firing tokens, halves of the text, another cell (floor)", arrays["across_floor"][-1]),
    ):
        yield Number.of(quantity, "-", mean_of(values.astype(np.float64), units).estimate, "")
    yield Number.of(
        "sentences that both lists have, of the first moment and the last",
        "-",
        mean_of(arrays["sentences"][0].astype(np.float64), units).estimate,
    )
    yield Number("the same of lists drawn by lot", "-", found.chance)
    early = settled_triggers(findings)
    n_moments = len(arrays["to_last"])
    before = ((early >= 0) & (early < n_moments - 1)).astype(np.float64)
    before[early < 0] = np.nan
    yield Number.of("cells whose triggers settle before the last moment", "-", mean_of(before, units).estimate)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = arrays_of(findings, EXPERIMENT)
    units = units_in(findings, arrays)
    own, floor = (arrays[name].astype(np.float64) for name in ("to_previous", "floor"))
    gain = mean_of(own[-1] - floor[-2], units)
    yield Claim(
        "at the last two moments a cell has more of its triggers in common with itself than with another cell of its layer",
        above(gain, unit=""),
        f"overlap {mean_of(own[-1], units).value:.3f} with itself, {mean_of(floor[-2], units).value:.3f} with another",
    )
    sums = by_layer(as_numbers(settled_triggers(findings)), units)
    if len(units.names) > 1:
        (low, high), later = means_of_thirds(sums), upper_less_lower(sums)
        yield Claim(
            "triggers settle from the bottom up: in the upper layers later than in the lower ones",
            above(later, unit="moments"),
            f"the lowest third of the layers at moment {low.value:.2f} in the mean, the highest at {high.value:.2f}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _found(findings)
    yield chart(
        findings,
        "trigger-overlap",
        "Overlap of a cell's trigger lists, by layer through training.",
        {
            "with the last moment": found.to_last,
            "with the moment before": found.to_previous,
            "another cell with the last moment": found.floor,
        },
        "overlap",
        percent=False,
    )
    yield chart(
        findings,
        "firing-tokens-across-halves",
        "Overlap of the tokens that a cell fires on in one half of the documents with those in the other half at the "
        "last moment.",
        {"the cell": found.across, "another cell": found.across_floor},
        "overlap",
        percent=False,
    )


CHAPTER: Chapter[Training] = Chapter(
    order=1,
    experiments=lambda study: [Experiment(EXPERIMENT, ListsResult, _run)],
    results={EXPERIMENT: ListsResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Triggers",
            title="When triggers appear and settle",
            question="From which moment on does a cell fire on what it fires on at the end?",
            definition=f"""
The rank-biased overlap (p = 0.9) of a cell's trigger lists, positions of sentences, with its own of the last moment, and of
the moment before. Triggers are settled from the first moment on from which that with the last is {HALF:g} or more for good.
Floor: the list of another cell of the layer. Two halves of the text share no position, but tokens: the tokens that a cell
fires on in one half of the documents, against those in the other half at the last moment; at the last moment itself that is
the ceiling.""",
            conclude="""
What appears at a moment did so since the moment before: no step is known more closely. At the last moment everything is
settled by definition. Moments that lie close together overlap more by nature. One training says nothing of others.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)


def settled_share(findings: Findings) -> tuple[Course, ...]:
    """The share of each layer's cells whose triggers have settled by each moment, of those that have triggers at the last."""
    at = settled_triggers(findings)
    arrays = arrays_of(findings, EXPERIMENT)
    by = share_settled(at, len(arrays["to_last"])).astype(np.float64).T
    by[:, at < 0] = np.nan
    return courses({"triggers": by}, units_in(findings, arrays))["triggers"]
