"""How far keys and values move through training, and whether a cell still fires alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import NOTHING, Estimate
from ffmem.analyses.resampling import of_draws
from ffmem.analyses.through_training.coefficients import correlations, groups_of, mean_draws, paired_sums
from ffmem.analyses.through_training.drift import Memories, drift, growth, memories_of, way
from ffmem.models.transformer import Transformer
from ffmem.studies.checkpoint import Checkpoint
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import (
    Course,
    Units,
    arrays_of,
    at_end,
    chart,
    courses,
    mean_of,
    moments_in,
    shape_of,
    units_in,
)
from ffmem.studies.verdicts import above

EXPERIMENT, FIRING = "drift", "firing"


@dataclass(frozen=True)
class DriftResult:
    """Weights through training: drift is 1 - cosine, growth the logarithm of a ratio of lengths."""

    keys_to_last: tuple[Course, ...]
    values_to_last: tuple[Course, ...]
    keys_to_previous: tuple[Course, ...]
    values_to_previous: tuple[Course, ...]
    keys_growth: tuple[Course, ...]
    """From the first moment."""
    values_growth: tuple[Course, ...]
    way: tuple[tuple[float, ...], ...]
    """Of each layer, from each moment to the next: the sum of |change| of all weights, over that of |weight|."""


@dataclass(frozen=True)
class FiringResult:
    """Correlations of a cell's coefficients with its own at another moment, over the same positions."""

    with_last: tuple[Course, ...]
    with_previous: tuple[Course, ...]
    first_and_last: Estimate
    """The mean over layers."""
    last_two: Estimate
    n_positions: int
    n_groups: int


def _run_drift(study: Training, listen: StageListener) -> DriftResult:
    memories: list[list[Memories]] = []
    for number in range(len(study.moments)):
        model = study.model(number)
        own = [memories_of(model, place) for place in study.places]
        orders = [study.order(number, place) for place in study.places]
        memories.append([Memories(one.keys[rows], one.values[rows]) for one, rows in zip(own, orders, strict=True)])
        listen(Stage(EXPERIMENT, number + 1, len(study.moments)))
    n, arrays = len(memories), {}
    for part in ("keys", "values"):
        by_layer = [[getattr(one, part) for one in moment] for moment in memories]
        arrays[f"{part}_to_last"] = _stack(
            [[drift(*two) for two in zip(one, by_layer[-1], strict=True)] for one in by_layer]
        )
        arrays[f"{part}_to_previous"] = _stack(
            [[drift(*two) for two in zip(by_layer[at], by_layer[at + 1], strict=True)] for at in range(n - 1)]
        )
        arrays[f"{part}_growth"] = _stack(
            [[growth(*two) for two in zip(by_layer[0], one, strict=True)] for one in by_layer]
        )
    units = Units(study.layer_of, study.document_of, tuple(study.layer_names()))
    found = courses(arrays, units)
    norms = _stack([[one.values.double().norm(dim=1).numpy() for one in moment] for moment in memories])
    ways = np.array([[way(memories[at][p], memories[at + 1][p]) for at in range(n - 1)] for p in study.places])
    kept = {"value_norm": norms, "way": ways, "layer": study.layer_of, "document": study.document_of}
    study.results.save_arrays(EXPERIMENT, arrays | kept)
    return DriftResult(**found, way=tuple(tuple(map(float, one)) for one in ways))


def _stack(rows: list[list[np.ndarray]]) -> np.ndarray:
    return np.stack([np.concatenate(one) for one in rows])


def _run_firing(study: Training, listen: StageListener) -> FiringResult:
    """Three models at a time: the moment before, the moment, the last. What is done is kept, moment by moment."""
    checkpoint, n = Checkpoint(study.results, FIRING), len(study.moments)
    groups, n_groups = groups_of(study.positions.document, study.options.seed)
    kept = checkpoint.load() or {}
    rho = {name: np.full((n, len(study.layer_of)), np.nan) for name in ("with_last", "with_previous")}
    # of each layer, and, behind them, of their mean
    ends = {name: np.full((n, len(study.places) + 1, 3), np.nan) for name in rho}
    for name in rho:
        rho[name] = np.array(kept.get(name, rho[name]))
        ends[name] = np.array(kept.get(f"{name}_ends", ends[name]))
    done = int(kept["done"][0]) if kept else 0
    models: dict[int, Transformer] = {}
    for number in range(done, n - 1):
        wanted = {number, number + 1, n - 1}
        models = {one: models[one] if one in models else study.model(one) for one in sorted(wanted)}
        order = sorted(models)
        pairs = [(order.index(number), order.index(n - 1)), (order.index(number), order.index(number + 1))]
        sums = paired_sums(
            [models[one] for one in order], pairs, study.positions, groups, n_groups,
            bos=study.index.manifest.options.bos, orders=[[study.order(one, p) for p in study.places] for one in order],
        )  # fmt: skip
        for name, row, of_pair in (("with_last", number, sums[0]), ("with_previous", number + 1, sums[1])):
            each = [correlations(one.sum(0)) for one in of_pair]
            draws = [mean_draws(one) for one in of_pair]
            rho[name][row] = np.concatenate(each)
            ends[name][row] = [
                *(_ends(*both, n_groups) for both in zip(each, draws, strict=True)),
                _ends(np.array([_mean(one) for one in each]), np.mean(draws, axis=0), n_groups),
            ]
        listen(Stage(FIRING, number + 1, n - 1))
        checkpoint.keep(lambda number=number: _so_far(rho, ends, number + 1))  # type: ignore[misc]
    study.results.save_arrays(FIRING, rho | {"layer": study.layer_of, "document": study.document_of})
    found = {name: _as_courses(study, rho[name], ends[name]) for name in rho}
    first_and_last, last_two = (
        Estimate(float(one[0]), float(one[1]), float(one[2]), len(study.layer_of))
        for one in (ends["with_last"][0, -1], ends["with_previous"][-1, -1])
    )
    return FiringResult(
        found["with_last"], found["with_previous"], first_and_last, last_two, len(study.positions), n_groups
    )


def _so_far(rho: dict[str, np.ndarray], ends: dict[str, np.ndarray], done: int) -> dict[str, np.ndarray]:
    return rho | {f"{name}_ends": one for name, one in ends.items()} | {"done": np.array([done])}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _ends(cells: np.ndarray, draws: np.ndarray, n_groups: int) -> tuple[float, float, float]:
    n = int(np.isfinite(cells).sum())
    if not n:
        return float("nan"), float("nan"), float("nan")
    found = of_draws(_mean(cells), draws, n_groups, n).estimate
    return found.value, found.low, found.high


def _as_courses(study: Training, rho: np.ndarray, ends: np.ndarray) -> tuple[Course, ...]:
    found = []
    for place, name in enumerate(study.layer_names()):
        counts = np.isfinite(rho[:, study.layer_of == place]).sum(1)
        values = [
            Estimate(float(three[0]), float(three[1]), float(three[2]), int(n)) if n else NOTHING
            for three, n in zip(ends[:, place], counts, strict=True)
        ]
        found.append(Course(name, tuple(values)))
    return tuple(found)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> DriftResult:
    return findings.get(EXPERIMENT, DriftResult)


def _reading(findings: Findings) -> str:
    found = _found(findings)
    told = (
        f"From the first moment to the last keys turn by 1 - cos = {at_end(found.keys_to_last, 0):.2f} in the mean, "
        "values by "
        f"{at_end(found.values_to_last, 0):.2f}."
    )
    if FIRING in findings.values:
        firing = findings.get(FIRING, FiringResult)
        told += (
            f" Coefficients of a cell at the last two moments correlate by {at_end(firing.with_previous):.2f}, at the "
            "first and the "
            f"last by {at_end(firing.with_last, 0):.2f}."
        )
    return told


def _sample(findings: Findings) -> str:
    told = f"keys and values of {shape_of(findings)['n_cells']:,} cells at {len(moments_in(findings))} moments"
    if FIRING in findings.values:
        firing = findings.get(FIRING, FiringResult)
        told += (
            f"; coefficients at {firing.n_positions:,} positions of text, with intervals by drawing {firing.n_groups} "
            "groups of its "
            "documents anew; a cell that does not vary at either moment is left out"
        )
    return told


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays = arrays_of(findings, EXPERIMENT)
    units = units_in(findings, arrays)
    for part in ("keys", "values"):
        yield Number.of(
            f"drift of {part}, first moment to last", "-", mean_of(arrays[f"{part}_to_last"][0], units).estimate, ""
        )
        yield Number.of(
            f"drift of {part}, last two moments", "-", mean_of(arrays[f"{part}_to_previous"][-1], units).estimate, ""
        )
        yield Number.of(
            f"ln of the growth of {part}, first moment to last",
            "-",
            mean_of(arrays[f"{part}_growth"][-1], units).estimate,
            "",
        )
    if FIRING in findings.values:
        firing = findings.get(FIRING, FiringResult)
        yield Number.of("correlation of coefficients, first moment and last", "-", firing.first_and_last, "")
        yield Number.of("correlation of coefficients, last two moments", "-", firing.last_two, "")


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = arrays_of(findings, EXPERIMENT)
    units = units_in(findings, arrays)
    farther = mean_of(arrays["values_to_last"][0] - arrays["keys_to_last"][0], units)
    yield Claim(
        "values turn farther than keys, from the first moment to the last",
        above(farther, unit=""),
        f"values {mean_of(arrays['values_to_last'][0], units).value:.3f}, keys "
        f"{mean_of(arrays['keys_to_last'][0], units).value:.3f}",
    )


def _rates(arrays: dict[str, np.ndarray], units: Units) -> np.ndarray:
    """The mean angle that key and value turn by, over the way that the weights of their layer went, between moments.

    1 - cosine grows with the square of a small angle: over a way, it would depend on how close the moments lie.
    """
    angles = [np.arccos(np.clip(1 - arrays[f"{part}_to_previous"], -1, 1)) for part in ("keys", "values")]
    ways = arrays["way"].T[:, units.layer]
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.where(ways > 0, sum(angles) / 2 / ways, np.nan)
    return found


def _charts(findings: Findings) -> Iterator[Chart]:
    found, arrays = _found(findings), arrays_of(findings, EXPERIMENT)
    yield chart(
        findings,
        "drift-to-last",
        "How far keys and values still turn: 1 - cosine with the last moment, by layer.",
        {"keys": found.keys_to_last, "values": found.values_to_last},
        "1 - cosine",
        percent=False,
    )
    units = units_in(findings, arrays)
    yield chart(
        findings,
        "drift-over-way",
        "The angle that cells turn by since the moment before, over the way that the weights of their layer went.",
        courses({"keys and values": _rates(arrays, units)}, units),
        "radians over way",
        percent=False,
    )
    if FIRING in findings.values:
        firing = findings.get(FIRING, FiringResult)
        yield chart(
            findings,
            "firing-alike",
            "Correlation of a cell's coefficients with its own at another moment, by layer.",
            {"with the last moment": firing.with_last, "with the moment before": firing.with_previous},
            "correlation",
            percent=False,
        )


CHAPTER: Chapter[Training] = Chapter(
    order=4,
    experiments=lambda study: [
        Experiment(EXPERIMENT, DriftResult, _run_drift),
        *([Experiment(FIRING, FiringResult, _run_firing)] if study.index.manifest.model.predicts_next_token else []),
    ],
    results={EXPERIMENT: DriftResult, FIRING: FiringResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Drift",
            title="How far cells move",
            question="How far do keys and values turn and grow, and does a cell still fire alike?",
            definition="""
Drift is 1 - the cosine of a key, or of a value, at two moments; of gated cells the key is gate key and up key together.
Growth is the logarithm of the ratio of lengths. Way is the sum of |change| of all weights of a layer's cells over that of
|weight|: the learning rate falls, so that drift has to be held against it. The correlation of a cell's coefficients over the
same positions stays what it is if the cell is scaled, or everything is turned together: the one measure here that no choice
of axes decides.""",
            conclude="""
Directions in one training, whose axes stay; nothing about directions in another. A cell may turn and fire alike, and may fire
alike and write something else.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)
