"""Which cells are alive through training: deaths, revivals, cells that turn off, and how active cells are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Sums, mean_ratio, numbered, proportion
from ffmem.analyses.through_training.lives import (
    DEAD_ENERGY,
    OFTEN,
    SELDOM,
    Flow,
    active_fraction,
    energy,
    flows,
    is_relu,
    turned_off,
)
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.training import drift
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import Course, Units, arrays_of, at_end, chart, courses, moments_in, shape_of
from ffmem.studies.verdicts import above

EXPERIMENT = "lives"


@dataclass(frozen=True)
class LivesResult:
    """Life and death through training."""

    by_activity: bool
    """Whether a cell counts as dead where it is never active: of ReLU cells; else by its energy."""
    alive: tuple[Course, ...]
    active: tuple[Course, ...]
    """Mean active fraction of a layer's cells."""
    flows: tuple[Flow, ...]
    """Of all layers, between each moment and the next."""
    n_cells: int


def _run(study: Training, _: StageListener) -> LivesResult:
    relu, layers = is_relu(study.index.manifest.model), study.index.cells.layers
    norms = study.results.load_arrays(drift.EXPERIMENT)["value_norm"]
    starts = np.cumsum([0, *(layer.n_cells for layer in layers)])
    fractions, alive = np.zeros(norms.shape), np.zeros(norms.shape, dtype=bool)
    for number, moment in enumerate(study.moments):
        for place in study.places:
            order, columns = study.order(number, place), slice(starts[place], starts[place + 1])
            arrays = moment.index.layer(place)
            own = active_fraction(arrays, layers[place].group_size)
            fractions[number, columns] = own[order]
            # the norms lie in the order of this study already
            in_place = np.empty(len(order))
            in_place[order] = norms[number, columns]
            living = np.asarray(arrays.n_active) > 0 if relu else energy(arrays, in_place) >= DEAD_ENERGY
            alive[number, columns] = living[order]
    off = turned_off(fractions) if relu else np.zeros_like(alive)
    arrays_kept = {"alive": alive, "active": fractions, "off": off, "layer": study.layer_of}
    study.results.save_arrays(EXPERIMENT, arrays_kept)
    # shares of cells: each stands for itself
    units = Units(study.layer_of, np.arange(len(study.layer_of)), tuple(study.layer_names()))
    found = courses({"alive": alive.astype(np.float64), "active": fractions}, units)
    return LivesResult(relu, found["alive"], found["active"], flows(alive, off), len(study.layer_of))


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> LivesResult:
    return findings.get(EXPERIMENT, LivesResult)


def _reading(findings: Findings) -> str:
    found = _found(findings)
    deaths, good = (sum(getattr(one, name) for one in found.flows) for name in ("n_deaths", "n_for_good"))
    back = sum(one.n_revivals for one in found.flows)
    at = [share(at_end(found.active, moment)) for moment in (0, -1)]
    active = f"; a cell is active at {at[0]} of the positions at first, {at[1]} at the end" if found.by_activity else ""
    return (
        f"{found.flows[0].n_before:,} of {found.n_cells:,} cells are alive at the first moment and "
        f"{found.flows[-1].n_after:,} at the "
        f"last: {deaths:,} deaths, {good:,} of them for good, and {back:,} revivals{active}."
    )


def _sample(findings: Findings) -> str:
    n = shape_of(findings)["n_tokens"]
    how = "never active" if _found(findings).by_activity else f"less than {DEAD_ENERGY:g} of the energy of its layer"
    return (
        f"all {_found(findings).n_cells:,} cells at {len(moments_in(findings))} moments; dead: {how} over {n:,} tokens"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found, n = _found(findings), _found(findings).n_cells
    yield Number.of("cells alive at the first moment", "-", proportion(found.flows[0].n_before, n))
    yield Number.of("cells alive at the last moment", "-", proportion(found.flows[-1].n_after, n))
    alive = arrays_of(findings, EXPERIMENT)["alive"].astype(bool)
    yield Number.of("cells that die and never come back", "-", proportion(int((alive.any(0) & ~alive[-1]).sum()), n))
    was_dead = (np.logical_or.accumulate(alive)[:-1] & ~alive[1:]).any(0)
    if was_dead.any():
        back = proportion(int((was_dead & alive[-1]).sum()), int(was_dead.sum()))
        yield Number.of("of cells that were dead after having been alive, alive at the end", "-", back)
    if found.by_activity:
        off = arrays_of(findings, EXPERIMENT)["off"].astype(bool)
        yield Number.of("cells that turn off", "-", proportion(int(off.any(0).sum()), n))


def _claims(findings: Findings) -> Iterator[Claim]:
    found, arrays = _found(findings), arrays_of(findings, EXPERIMENT)
    if not found.by_activity:
        return
    numbers = numbered(np.arange(found.n_cells))
    alive, active = arrays["alive"].astype(np.float64), arrays["active"]
    fewer = mean_ratio(Sums.of(alive[0] - alive[-1], *numbers).differences)
    yield Claim(
        "cells die during training: fewer are alive at the last moment than at the first",
        above(fewer),
        f"{share(float(alive[0].mean()))} alive at the first, {share(float(alive[-1].mean()))} at the last",
    )
    sparser = mean_ratio(Sums.of(active[0] - active[-1], *numbers).differences)
    yield Claim(
        "cells become sparser: active at fewer positions at the last moment than at the first",
        above(sparser),
        f"active at {share(float(active[0].mean()))} of the positions at first, {share(float(active[-1].mean()))} at the end",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _found(findings)
    series = {"cells alive": found.alive} | (
        {"positions at which a cell is active": found.active} if found.by_activity else {}
    )
    yield chart(findings, "alive", "Cells that are alive, by layer through training.", series, "share")


def _tables(findings: Findings) -> Iterator[Table]:
    names = [str(one["name"]) for one in moments_in(findings)]
    rows = [
        {
            "from": names[number],
            "to": names[number + 1],
            "alive before": one.n_before,
            "deaths": one.n_deaths,
            "for good": one.n_for_good,
            "revivals": one.n_revivals,
            "first lives": one.n_births,
            "alive after": one.n_after,
            "turned off": one.n_turned_off,
        }
        for number, one in enumerate(_found(findings).flows)
    ]
    yield Table("deaths-and-revivals", "Deaths and revivals between moments", tuple(rows[0]), rows)


CHAPTER: Chapter[Training] = Chapter(
    order=5,
    experiments=lambda study: [Experiment(EXPERIMENT, LivesResult, _run)],
    results={EXPERIMENT: LivesResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Lives",
            title="Births and deaths",
            question="Which cells die in training, which come back, which turn off?",
            definition=f"""
Alive: a ReLU cell is active somewhere in the indexed text; any other has {DEAD_ENERGY:g} or more of the energy of its layer
(the sum of m²|v|²). A death: alive at one moment, dead at the next; for good: dead at all later ones. A revival: the other
way about; a first life: dead at every moment before. Alive after = alive before - deaths + revivals. A ReLU cell turns off at
the first moment from which on it is active at less than {percent(SELDOM)} % of the positions, if it was at {percent(OFTEN)} %
or more before.""",
            conclude="""
Dead on this text, never dead at all. Where cells are put in another order at each moment, the numbers alive stay what they
are: that control says nothing about them, only about who dies. What happens between two moments is not seen.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
