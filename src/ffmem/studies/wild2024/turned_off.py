"""Cells that turn off between two moments of training, and how their keys changed: only where earlier indexes are given."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

import numpy as np

from ffmem.analyses.intervals import Sums, Uncertain, mean_ratio
from ffmem.analyses.sparsity.silent import key_changes, turned_off
from ffmem.analyses.sparsity.use import counted_use
from ffmem.errors import FfmemError
from ffmem.store.reader import Index
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.context import Wild2024
from ffmem.studies.wild2024.use import PAPER_WINDOW

EXPERIMENT = "moments"
_KINDS = ("turned off", "stayed")
"""Whose keys are compared."""
_CHANGES = ("bias", "length", "drift")


@dataclass(frozen=True)
class LayerMoment:
    """A layer at one moment of training."""

    layer: str
    token: float
    sentence: float
    window: float
    dead: float
    """Share of its cells."""


@dataclass(frozen=True)
class Moment:
    """One index."""

    name: str
    layers: tuple[LayerMoment, ...]
    n_alive: int
    """Cells that are active somewhere."""


@dataclass(frozen=True)
class Step:
    """From one moment to the next."""

    n_turned_off: int
    n_died: int
    n_revived: int
    why_no_weights: str
    """Why keys were not compared; "" if they were."""


@dataclass(frozen=True)
class MomentsResult:
    """Moments in their order, the index itself last; how keys have changed lies beside it as arrays, a row for each cell."""

    moments: tuple[Moment, ...]
    steps: tuple[Step, ...]


def _experiments(study: Wild2024) -> list[Experiment[Wild2024]]:
    if not study.earlier or study.is_control or study.limits is not None:
        return []
    return [Experiment(EXPERIMENT, MomentsResult, _run)]


def _run(study: Wild2024, listen: StageListener) -> MomentsResult:
    indexes = [*study.earlier, study.index]
    moments = tuple(_moment(index, study.layer_names()) for index in indexes)
    parts: list[np.ndarray] = []
    steps = []
    for number, (before, after) in enumerate(pairwise(indexes)):
        steps.append(_step(study, before, after, number, parts))
        listen(Stage(EXPERIMENT, number + 1, len(indexes) - 1))
    table = np.concatenate(parts) if parts else np.zeros((0, 3 + len(_CHANGES)))
    study.results.save_arrays(EXPERIMENT, {"changes": table})
    return MomentsResult(moments, tuple(steps))


def _moment(index: Index, names: list[str]) -> Moment:
    layers, n_alive = [], 0
    for place, name in enumerate(names):
        arrays = index.layer(place)
        in_sentences = arrays.n_active_sentences if index.manifest.has_active_sentences else None
        n = int(arrays.counts[:, 0].max())
        found = counted_use(arrays.n_active, in_sentences, arrays.counts, n, PAPER_WINDOW)
        layers.append(LayerMoment(name, found.token, found.sentence, found.window, found.dead / found.n_cells))
        n_alive += found.n_cells - found.dead
    return Moment(index.folder.name, tuple(layers), n_alive)


def _step(study: Wild2024, before: Index, after: Index, number: int, parts: list[np.ndarray]) -> Step:
    """What became of each cell; rows of ``parts``: step, layer, kind, and the changes of its key."""
    models, why_not = None, ""
    try:
        models = study.model_of(before), study.model if after is study.index else study.model_of(after)
    except FfmemError as error:
        why_not = error.got
    counts = {"turned off": 0, "died": 0, "revived": 0}
    for place in range(before.n_layers):
        old, new = before.layer(place), after.layer(place)
        rows = turned_off(old.n_active, new.n_active, int(old.counts[:, 0].max()))
        for what in counts:
            counts[what] += len(rows[what])
        if models is None:
            continue
        changes = key_changes(*models, place)
        for kind, name in enumerate(_KINDS):
            some = rows[name]
            columns = [np.full(len(some), number), np.full(len(some), place), np.full(len(some), kind)]
            parts.append(np.stack([*columns, *(changes[one][some] for one in _CHANGES)], 1).astype(np.float64))
    return Step(counts["turned off"], counts["died"], counts["revived"], why_not)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> MomentsResult:
    return findings.get(EXPERIMENT, MomentsResult)


def _mean(findings: Findings, change: str, kind: str) -> Uncertain | None:
    """Mean change of the keys of cells of a kind, over all steps; cells are drawn. None if there are none."""
    table = arrays_of(findings, EXPERIMENT)["changes"]
    values = table[table[:, 2] == _KINDS.index(kind), 3 + _CHANGES.index(change)]
    if not len(values):
        return None
    return mean_ratio(Sums.of(values, np.arange(len(values)), len(values)).differences)


def _bias_less(findings: Findings) -> Uncertain | None:
    """By how much more the biases fell of cells that turned off than of those that stayed."""
    table = arrays_of(findings, EXPERIMENT)["changes"]
    if not len(table) or not table[:, 3].any():
        return None
    kinds = [np.where(table[:, 2] == kind, table[:, 3], np.nan) for kind in range(len(_KINDS))]
    off, stayed = (Sums.of(one, np.arange(len(table)), len(table)) for one in kinds)
    found = mean_ratio(stayed, off)
    return None if isnan(found.value) else found


def _reading(findings: Findings) -> str:
    found = _found(findings)
    first, last = found.moments[0], found.moments[-1]
    n_off, n_died = (sum(getattr(one, name) for one in found.steps) for name in ("n_turned_off", "n_died"))
    return (
        f"Between {first.name} and {last.name}, {n_off:,} cells turned off (1 % of positions before, below 0.1 % after) and "
        f"{n_died:,} died, {sum(one.n_revived for one in found.steps):,} revived; alive are {first.n_alive:,} and "
        f"{last.n_alive:,}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return (
        f"{len(found.moments)} moments of training over the same text: {', '.join(one.name for one in found.moments)}"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _found(findings)
    yield Number("cells that turned off", "-", sum(one.n_turned_off for one in found.steps), unit="")
    yield Number("cells that died", "-", sum(one.n_died for one in found.steps), unit="")
    yield Number("cells that revived", "-", sum(one.n_revived for one in found.steps), unit="")
    units = {
        "bias": "change of the key's bias",
        "length": "ln of the key's length, after by before",
        "drift": "1 - cosine",
    }
    for change, what in units.items():
        for kind in _KINDS:
            mean = _mean(findings, change, kind)
            if mean is not None:
                yield Number.of(f"{what}, cells that {kind}", "-", mean.estimate, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    less = _bias_less(findings)
    if less is None:
        return
    low, high = less.interval()
    yield Claim(
        "cells turn off by their bias: it falls more than that of cells that stay",
        above(less, unit=""),
        f"by {less.value:.3g} more ({low:.3g} to {high:.3g})",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    moments = _found(findings).moments
    for name, title in (
        ("token", "a token"),
        ("sentence", "a sentence"),
        ("window", f"{PAPER_WINDOW:,} positions"),
        ("dead", ""),
    ):
        rows = [
            {
                "layer": place,
                "name": one.layer,
                "series": moment.name,
                "value": value,
                "low": value,
                "high": value,
                "n": 1,
            }
            for moment in moments
            for place, one in enumerate(moment.layers)
            if not isnan(value := getattr(one, name))
        ]
        caption = f"Cells that are used by {title}." if title else "Cells that are never active."
        if rows:
            yield Chart(f"moments-{name}", caption, "lines", rows, "cells of the layer")


def _tables(findings: Findings) -> Iterator[Table]:
    found = _found(findings)
    rows = [
        {
            "from": before.name,
            "to": after.name,
            "turned off": step.n_turned_off,
            "died": step.n_died,
            "revived": step.n_revived,
            "alive before": before.n_alive,
            "alive after": after.n_alive,
        }
        for (before, after), step in zip(pairwise(found.moments), found.steps, strict=True)
    ]
    yield Table("moments", "From moment to moment", tuple(rows[0]), rows)


def _notes(findings: Findings) -> Iterator[str]:
    for step in _found(findings).steps:
        if step.why_no_weights:
            yield f"Keys are not compared of one step: {step.why_no_weights}."


CHAPTER = Chapter(
    order=2.5,
    experiments=_experiments,
    results={EXPERIMENT: MomentsResult},
    exhibits=(
        Exhibit(
            order=3.5,
            name="Moments",
            title="Cells that turn off in training",
            question="Which cells were in use at an earlier moment of training and no longer are; how did their keys change?",
            definition=f"""
A cell turns off between two moments if it is active at 1 % of the positions or more before, and at fewer than 0.1 % after; it
dies if it is active somewhere before and nowhere after; it revives the other way about. Beside them the cells that were
active at 1 % and still are at 0.1 %. The same text is counted at each moment. Of {PAPER_WINDOW:,} positions: the share of
cells that as many positions use, drawn at random from all of the text.""",
            conclude="""
One run of training, of which moments were kept: when a cell turned off is known no closer than they are apart. That a bias
fell is what happened to the weights, not why. Within one run a cell is the same cell; between runs it is not.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)
