"""Cells that are never or rarely active in all of the index's text, where they are, and why they stay at 0."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered, proportion
from ffmem.analyses.sparsity.silent import REASONS, reasons
from ffmem.analyses.sparsity.use import RARE
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, means_of_thirds, points, share, upper_less_lower
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, opposite
from ffmem.studies.wild2024.cells import arrays_of, cell_sums, of_all
from ffmem.studies.wild2024.context import Wild2024

EXPERIMENT = "silence"
_N_NAMED = 500
_MORE_TEXT = 10
"""Times as many positions as models without a ReLU are asked at."""


@dataclass(frozen=True)
class LayerSilence:
    """One layer, by the counts of the index."""

    layer: str
    dead: Estimate
    rare: Estimate


@dataclass(frozen=True)
class SilenceResult:
    """Silent cells by layer; which they are, and why, lies beside it as arrays."""

    n_tokens: int
    n_read: int
    """Positions at which it was looked for why; 0: it was not."""
    layers: tuple[LayerSilence, ...]


def _experiments(study: Wild2024) -> list[Experiment[Wild2024]]:
    """Of an index whose counts say when a cell is silent: not of a control, nor where coefficients are never exactly 0."""
    if study.is_control or study.limits is not None:
        return []
    return [Experiment(EXPERIMENT, SilenceResult, _run)]


def _run(study: Wild2024, listen: StageListener) -> SilenceResult:
    layers, dead_of, rare_of = [], [], []
    for place, name in enumerate(study.layer_names()):
        arrays = study.index.layer(place)
        seen = np.repeat(arrays.counts[:, 0], study.index.cells.layers[place].group_size)
        dead = np.asarray(arrays.n_active == 0)
        rare = ~dead & (arrays.n_active < RARE * seen)
        shares = [proportion(int(one.sum()), len(dead)) for one in (dead, rare)]
        layers.append(LayerSilence(name, shares[0], shares[1]))
        dead_of.append(dead)
        rare_of.append(rare)
    rows = [np.flatnonzero(dead | rare) for dead, rare in zip(dead_of, rare_of, strict=True)]
    n_read, why = 0, [[""] * len(one) for one in rows]
    if not any(layer.n_experts for layer in study.index.cells.layers):  # an expert is read by routed positions alone
        text = study.few(_MORE_TEXT * study.options.limit_positions)
        n_read = len(text)

        def hear(done: int) -> None:
            listen(Stage(EXPERIMENT, done, n_read))

        why = reasons(study.model, text, study.bos, rows, hear)  # type: ignore[assignment]
    lengths = [_lengths(study, place) for place in range(len(rows))]
    sizes = [len(one) for one in dead_of]
    names = ["", *REASONS]
    study.results.save_arrays(
        EXPERIMENT,
        {
            "layer": np.repeat(np.arange(len(sizes)), sizes),
            "dead": np.concatenate(dead_of).astype(np.int64),
            "rare": np.concatenate(rare_of).astype(np.int64),
            "key_length": np.concatenate([key for key, _ in lengths]),
            "value_length": np.concatenate([value for _, value in lengths]),
            "silent_layer": np.repeat(np.arange(len(rows)), [len(one) for one in rows]),
            "silent_row": np.concatenate(rows),
            "reason": np.array([names.index(one) for layer in why for one in layer], dtype=np.int64),
        },
    )
    return SilenceResult(study.index.manifest.counts.n_tokens, n_read, tuple(layers))


def _lengths(study: Wild2024, place: int) -> tuple[np.ndarray, np.ndarray]:
    """The lengths of the keys and of the values of a layer, by the median of its cells."""
    found = [rows.float().norm(dim=1).cpu().numpy() for rows in (study.model.keys(place), study.model.values(place))]
    return found[0] / max(float(np.median(found[0])), 1e-30), found[1] / max(float(np.median(found[1])), 1e-30)


def _mean_length(findings: Findings, of: str, dead: int) -> Uncertain | None:
    """Of the keys or values of dead cells, or of living ones, by the median of their layer; None if there is none."""
    arrays = arrays_of(findings, EXPERIMENT)
    values = arrays[f"{of}_length"][arrays["dead"] == dead]
    return mean_ratio(Sums.of(values, *numbered(np.arange(len(values))))) if len(values) else None


def _shorter(findings: Findings) -> Uncertain | None:
    """By how much the keys of dead cells are shorter than those of living ones; cells are drawn."""
    arrays = arrays_of(findings, EXPERIMENT)
    length, dead = arrays["key_length"], arrays["dead"] > 0
    if not dead.any() or dead.all():
        return None
    groups = numbered(np.arange(len(dead)))
    living, silent = (Sums.of(np.where(one, length, np.nan), *groups) for one in (~dead, dead))
    return mean_ratio(living, silent)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> SilenceResult:
    return findings.get(EXPERIMENT, SilenceResult)


def _reasons_of(findings: Findings) -> dict[str, tuple[int, int]]:
    """By reason, how many dead cells have it, and how many rare ones."""
    arrays = arrays_of(findings, EXPERIMENT)
    dead = arrays["dead"][(arrays["dead"] + arrays["rare"]) > 0]
    return {
        reason: (
            int(((arrays["reason"] == number) & (dead > 0)).sum()),
            int(((arrays["reason"] == number) & (dead == 0)).sum()),
        )
        for number, reason in enumerate(REASONS, 1)
    }


def _reading(findings: Findings) -> str:
    arrays, found = arrays_of(findings, EXPERIMENT), _found(findings)
    n_dead, n_rare, n = int(arrays["dead"].sum()), int(arrays["rare"].sum()), len(arrays["dead"])
    if not n_dead + n_rare:
        return f"All of the {n:,} cells are active, none at fewer than {share(RARE)} of the positions."
    most = max(found.layers, key=lambda one: one.dead.value + one.rare.value)
    told = f"Of {n:,} cells {n_dead:,} are never active in {found.n_tokens:,} tokens, {n_rare:,} rarely; most in {most.layer}."
    if not found.n_read or not n_dead:
        return told
    why = {reason: dead for reason, (dead, _) in _reasons_of(findings).items() if dead}
    listed = ", ".join(f"{reason} {number:,}" for reason, number in why.items())
    return f"{told} Why the dead ones are: {listed}."


def _sample(findings: Findings) -> str:
    found = _found(findings)
    read = f"; why: {found.n_read:,} positions of indexed text" if found.n_read else ""
    return f"all {found.n_tokens:,} tokens of the index{read}"


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays, found = arrays_of(findings, EXPERIMENT), _found(findings)
    sums = cell_sums(arrays["layer"], arrays["dead"], len(found.layers))
    low, high = means_of_thirds(sums)
    yield Number.of("dead cells", "-", of_all(arrays["dead"]))
    yield Number.of("dead cells, lowest third of the layers", "more than 70 in some (OPT-66B)", low.estimate)
    yield Number.of("dead cells, highest third", "none (OPT, upper half)", high.estimate)
    yield Number.of("rare cells", "0.35 (0.1B, at the end of training)", of_all(arrays["rare"]))
    for of in ("key", "value"):
        for dead, which in ((1, "dead"), (0, "living")):
            length = _mean_length(findings, of, dead)
            if length is not None:
                told = f"length of the {of}, {which} cells, by the median of the layer"
                yield Number.of(told, "-", length.estimate, unit="")
    if found.n_read:
        for reason, (dead, rare) in _reasons_of(findings).items():
            yield Number(f"dead, rare cells: {reason}", "-", dead + rare, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays, n_layers = arrays_of(findings, EXPERIMENT), len(_found(findings).layers)
    if n_layers < 2:
        return
    sums = cell_sums(arrays["layer"], arrays["dead"], n_layers)
    (low, high), more = means_of_thirds(sums), upper_less_lower(sums)
    yield Claim(
        "dead cells are in lower layers",
        opposite(above(more)),
        f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less the "
        f"first: {points(more)}",
    )

    shorter = _shorter(findings)
    if shorter is not None:
        low_end, high_end = shorter.interval()
        yield Claim(
            "dead cells have shorter keys than living ones of their layer",
            above(shorter, unit=""),
            f"shorter by {shorter.value:.3g} of the median length ({low_end:.3g} to {high_end:.3g})",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    series = {"dead": lambda one: one.dead, "rare": lambda one: one.rare}
    rows = line_rows(_found(findings).layers, series)
    caption = f"Cells that are never active in the index's text (dead), or at fewer than {share(RARE)} of its positions (rare)."
    yield Chart("silent", caption, "lines", rows, "cells of the layer", order=tuple(series))


def _tables(findings: Findings) -> Iterator[Table]:
    arrays, index = arrays_of(findings, EXPERIMENT), findings.index
    names = ["", *REASONS]
    rows = [
        {
            "cell": str(index.cells.cell_id(place, row)),
            "positions": int(index.layer(place).n_active[row]),
            "largest": round(float(index.layer(place).maximum[row]), 4),
            "why": names[reason],
        }
        for place, row, reason in zip(
            arrays["silent_layer"].tolist(), arrays["silent_row"].tolist(), arrays["reason"].tolist(), strict=True
        )
    ][:_N_NAMED]
    if rows:
        yield Table("silent-cells", "Cells that are never or rarely active", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=2,
    experiments=_experiments,
    results={EXPERIMENT: SilenceResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Dead cells",
            title="Cells that are never or rarely active",
            question="Which cells does this text never use, and why do they stay at 0?",
            definition=f"""
By the counts of the index: dead cells are active at no position, rare ones at fewer than {share(RARE)} of those that they
see. Why, in this order. Out of reach: no state that the norm before the layer can give has k . x + b above 0, which the
weights alone say. Active here: at {share(RARE)} of the positions of the text that is read for this. Bias: it would be active
at as many with the median bias of the layer's cells. Never reached: not even then, so that no state of the text lies where
its key points.""",
            conclude="""
Dead on this corpus, never dead: other text may use a cell that this one does not. A bias is a reason only in the sense of
this definition; what made it so is a question about training, which two moments of it can answer (--earlier). A control has
no index, and so no number here; what of its cells this page's stretch of text does not use stands with the use by layer.""",
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
