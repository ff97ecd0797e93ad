"""One map of a head: context tokens and memories as columns of a row that adds up to 1."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.softmax_memories import n_heads, rows_of_head
from ffmem.ids import CellId
from ffmem.models.vocabulary import display
from ffmem.studies.exhibit import Chart, Exhibit, Number, percent
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.sukhbaatar2019.context import Sukhbaatar2019

EXPERIMENT = "one-map"
_LENGTH = (6, 11)
"""Tokens of the sentence that is shown, so that the map can be read."""
_STRONGEST = 6
"""Memories with a column of their own."""


@dataclass(frozen=True)
class HeadMap:
    """The head of a layer whose memories have the most even share of its weight over a sentence."""

    layer: str
    head: int
    tokens: tuple[str, ...]
    """Of the context, what stands before the text first."""
    n_before: int
    """Of them, those that stand before it."""
    cells: tuple[CellId, ...]
    """The memories of the largest weight anywhere in the sentence, the strongest first."""
    sources: tuple[tuple[float, ...], ...]
    """For each own token, the weights of the tokens up to it."""
    memories: tuple[tuple[float, ...], ...]
    """For each own token, those of the cells."""
    others: tuple[float, ...]
    """For each own token, that of all other memories together."""


@dataclass(frozen=True)
class MapResult:
    """A head of each layer."""

    heads: tuple[HeadMap, ...]


def _run(study: Sukhbaatar2019, _: StageListener) -> MapResult:
    model, positions = study.model, study.positions
    lengths = [len(one) for one in positions.prefixes.sentences]
    middle = sum(_LENGTH) / 2
    chosen = min(
        range(len(lengths)), key=lambda i: (not _LENGTH[0] <= lengths[i] <= _LENGTH[1], abs(lengths[i] - middle), i)
    )
    ids = positions.prefixes.sentences[chosen].tolist()[: _LENGTH[1]]
    before, _after = model.special_tokens(study.bos)
    tokens = tuple(display(model.vocabulary[token]) for token in (*before, *ids))
    return MapResult(tuple(_layer(study, place, ids, tokens, len(before)) for place in range(model.facts.n_layers)))


def _layer(study: Sukhbaatar2019, place: int, ids: list[int], tokens: tuple[str, ...], n_before: int) -> HeadMap:
    heads = [rows_of_head(study.model, ids, place, head, study.bos) for head in range(n_heads(study.model))]
    mass = [float(np.mean([row.memories.sum() for row in rows])) for rows in heads]
    head = min(range(len(heads)), key=lambda i: (abs(mass[i] - 0.5), i))
    memories = np.stack([row.memories for row in heads[head]])
    strongest = np.argsort(-memories.max(0), kind="stable")[:_STRONGEST]
    n = memories.shape[1]
    return HeadMap(
        layer=study.index.cells.layers[place].name,
        head=head,
        tokens=tokens,
        n_before=n_before,
        cells=tuple(study.index.cells.cell_id(place, head * n + int(one)) for one in strongest),
        sources=tuple(tuple(row.sources.tolist()) for row in heads[head]),
        memories=tuple(tuple(one) for one in memories[:, strongest].tolist()),
        others=tuple((memories.sum(1) - memories[:, strongest].sum(1)).tolist()),
    )


def _experiments(study: Sukhbaatar2019) -> Iterable[Experiment[Sukhbaatar2019]]:
    yield Experiment(EXPERIMENT, MapResult, _run)


def _result(findings: Findings) -> MapResult:
    return findings.get(EXPERIMENT, MapResult)


def _largest(one: HeadMap) -> tuple[float, CellId, int]:
    """The largest weight of a memory, which it is, and at which own token."""
    weights = np.array(one.memories)
    at, which = np.unravel_index(int(weights.argmax()), weights.shape)
    return float(weights[at, which]), one.cells[which], int(at)


def _reading(findings: Findings) -> str:
    best = max(_result(findings).heads, key=lambda one: _largest(one)[0])
    weight, cell, at = _largest(best)
    return f"The largest weight of a memory shown is {percent(weight)} %, of {cell}, at the sentence's token {at + 1}."


def _sample(findings: Findings) -> str:
    return (
        "one held-out sentence, of those drawn the first of a length that can be read; of each layer the head whose "
        "memories have nearest to half of its weight. An example, of which nothing is concluded"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).heads:
        memories = float(np.mean([sum(row) + rest for row, rest in zip(one.memories, one.others, strict=True)]))
        yield Number(f"{one.layer}, the head that is shown: weight of memories in this sentence", "-", memories)


def map_rows(one: HeadMap) -> Iterator[dict[str, object]]:
    """Boxes of the map: rows are own tokens, columns the tokens of the context, then memories. Each row adds up to 1."""
    title = f"{one.layer}, head {one.head}"
    names = [f"{number} {token}" for number, token in enumerate(one.tokens)]
    for at, weights in enumerate(one.sources):
        row = names[one.n_before + at]
        padded = [*weights, *[0.0] * (len(names) - len(weights))]
        columns = [*names, *map(str, one.cells), "other memories"]
        values = [*padded, *one.memories[at], one.others[at]]
        for column, value in zip(columns, values, strict=True):
            yield {"panel": title, "row": row, "column": column, "value": value, "label": ""}


def _charts(findings: Findings) -> Iterator[Chart]:
    for one in _result(findings).heads:
        yield Chart(
            f"softmax-map-{one.layer}", f"What one head of {one.layer} gives its weight to: each row adds up to 1.", "heat",
            list(map_rows(one)), "", "", extent=(0.0, 1.0), holds_text=True,
        )  # fmt: skip


CHAPTER = Chapter(
    order=3,
    experiments=_experiments,
    results={EXPERIMENT: MapResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Addition",
            title="Context and memories in one map",
            question="What does a head give its weight to at each token of a sentence: tokens before it, or memories?",
            definition="""
A row for each token; its columns are the tokens up to it, and the memories of the head. All weights of a row add up to
1. Memories of the largest weight anywhere in the sentence have a column of their own; the last column is the sum of all
others.""",
            conclude="""
An example to look at. Weights say what is read, not what comes of it.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            charts=_charts,
        ),
    ),
)
