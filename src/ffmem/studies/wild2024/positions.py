"""Cells that tell where in a sentence a token stands: Voita et al. 2023, with its bias removed and a permutation beside."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.analyses.sparsity.positional import INFORMATIVE, equal_lengths, position_information
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, means_of_thirds, points, share, upper_less_lower
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, opposite
from ffmem.studies.wild2024.cells import arrays_of, cell_sums, of_all
from ffmem.studies.wild2024.context import Wild2024

EXPERIMENT = "positions"
_N_NAMED = 50


@dataclass(frozen=True)
class LayerPositions:
    """One layer."""

    layer: str
    positional: Estimate
    """Share of its cells."""
    by_chance: Estimate
    """The same with the positions of each sentence in random order."""


@dataclass(frozen=True)
class NamedCell:
    """A positional cell."""

    cell: str
    nats: float
    by_chance: float
    """The same in random order."""


@dataclass(frozen=True)
class PositionsResult:
    """Positional cells by layer; what each cell tells of the position lies beside it, in nats."""

    n_sentences: int
    n_positions: int
    layers: tuple[LayerPositions, ...]
    named: tuple[NamedCell, ...]
    """Those that tell most, most first."""


def _run(study: Wild2024, listen: StageListener) -> PositionsResult:
    active = study.active(listen, EXPERIMENT)
    where = equal_lengths(study.stretch, study.options.sentence_positions)
    shuffled = where.shuffled(study.options.seed)
    layers, found, chance = [], [], []
    for place, layer in enumerate(active):
        pairs = [
            (position_information(bits, where), position_information(bits, shuffled)) for _, bits in layer.blocks()
        ]
        own, other = (np.concatenate(one) for one in zip(*pairs, strict=True))
        shares = [proportion(int((one > INFORMATIVE).sum()), layer.n_cells) for one in (own, other)]
        layers.append(LayerPositions(study.layer_names()[place], shares[0], shares[1]))
        found.append(own)
        chance.append(other)
        listen(Stage(EXPERIMENT, place + 1, len(active)))
    of = np.repeat(np.arange(len(active)), [len(one) for one in found])
    arrays = {"layer": of, "information": np.concatenate(found), "by_chance": np.concatenate(chance)}
    study.results.save_arrays(EXPERIMENT, arrays)
    told, by_chance = arrays["information"], arrays["by_chance"]
    named = tuple(
        NamedCell(study.cell_name(one), float(told[one]), float(by_chance[one]))
        for one in np.argsort(-told, kind="stable")[:_N_NAMED].tolist()
        if told[one] > INFORMATIVE
    )
    return PositionsResult(len(where.rows), where.rows.shape[1], tuple(layers), named)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values and _found(findings).n_sentences > 0


def _found(findings: Findings) -> PositionsResult:
    return findings.get(EXPERIMENT, PositionsResult)


def _reading(findings: Findings) -> str:
    arrays = arrays_of(findings, EXPERIMENT)
    own, chance = (of_all(arrays[name] > INFORMATIVE) for name in ("information", "by_chance"))
    most = max(_found(findings).layers, key=lambda one: one.positional.value)
    where = f"; most in {most.layer}, {share(most.positional.value)}" if most.positional.value > 0 else ""
    return (
        f"{share(own.value)} of the cells tell where in the sentence they are{where}; with the positions of each sentence in "
        f"random order {share(chance.value)} seem to."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"the first {found.n_positions} positions of {found.n_sentences:,} sentences that have as many"


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays = arrays_of(findings, EXPERIMENT)
    yield Number.of("positional cells", "-", of_all(arrays["information"] > INFORMATIVE))
    yield Number.of("the same, positions in random order", "-", of_all(arrays["by_chance"] > INFORMATIVE))
    yield Number(
        "what the most positional cell tells of the position", "-", float(arrays["information"].max()), unit="nats"
    )


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays, n_layers = arrays_of(findings, EXPERIMENT), len(_found(findings).layers)
    if n_layers < 2:
        return
    sums = cell_sums(arrays["layer"], arrays["information"] > INFORMATIVE, n_layers)
    (low, high), more = means_of_thirds(sums), upper_less_lower(sums)
    yield Claim(
        "positional cells are in lower layers",
        opposite(above(more)),
        f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less the "
        f"first: {points(more)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    series = {"as they stand": lambda one: one.positional, "in random order": lambda one: one.by_chance}
    rows = line_rows(_found(findings).layers, series)
    caption = f"Cells that tell more than {INFORMATIVE:g} nats of the position in a sentence."
    yield Chart("positional-cells", caption, "lines", rows, "cells of the layer")


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"cell": one.cell, "nats": round(one.nats, 4), "in random order": round(one.by_chance, 4)}
        for one in _found(findings).named
    ]
    if rows:
        yield Table("positional", "The cells that tell most of the position", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=4,
    experiments=lambda _: [Experiment(EXPERIMENT, PositionsResult, _run)],
    results={EXPERIMENT: PositionsResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Positional cells",
            title="Cells that come on at a place in the sentence",
            question="Which cells tell where in a sentence a token stands?",
            definition=f"""
Of the first positions of sentences that have as many, so that each position has as many sentences: I = the mean over
positions p of the divergence of f_p from f, of the share of sentences in which a cell is active at p from that at all
positions, in nats. Counts of few sentences seem to vary with the position although they do not; so (P - 1) / 2N, for P
positions and N counts, is taken off. Positional: I above {INFORMATIVE:g} (the paper does not state the base of its
logarithm). Beside it the same with the positions of each sentence in random order.""",
            conclude="""
A cell that comes on at first words, at capitals, or after a start token tells the position too: what it is for is not said.
The paper's positions are those of a whole input, up to 2,048; sentences here begin at 0 each.""",
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
