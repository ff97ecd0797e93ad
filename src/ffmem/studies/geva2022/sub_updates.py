"""How predictions settle, and how much of an update its ten largest sub-updates are. What is measured serves `promotion`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, mean_ratio, numbered, ratios
from ffmem.analyses.updates.dominant import (
    N_DOMINANT,
    STATS,
    TOKENS,
    Stat,
    SubUpdates,
    Token,
    measure_sub_updates,
)
from ffmem.studies.exhibit import Chart, Exhibit, Number
from ffmem.studies.geva2021.layers import line_rows, share
from ffmem.studies.geva2022.context import Geva2022
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener

EXPERIMENT = "sub-updates"
"""The name of the experiment, and of the arrays with what happens at each position."""


@dataclass(frozen=True)
class Scored:
    """How the dominant sub-updates of a layer score a token; see `dominant.STATS`."""

    dominant: dict[Stat, Estimate]
    random: dict[Stat, Estimate]
    """As many random cells of the layer."""


@dataclass(frozen=True)
class LayerUpdates:
    """One layer, over all positions."""

    layer: str
    saturates: Estimate
    """Share of positions whose prediction stays on top from this layer on."""
    changes: Estimate
    """Share at which the layer replaces the candidate."""
    fallen: Estimate
    """Of the tokens above the prediction before the layer, the share that is below it after."""
    of_lengths: Estimate
    """Share of the ten in the sum of lengths of all sub-updates."""
    of_output: Estimate
    """Their share of the update, along it."""
    negative: Estimate
    """Share of them with a coefficient below 0."""
    scored: dict[Token, Scored]
    """The prediction at all positions; the other two where the layer replaces the candidate."""


@dataclass(frozen=True)
class SubUpdatesResult:
    """What happens at held-out positions. What happened at each lies beside it as arrays: see `sub_updates_of`."""

    n_positions: int
    n_sentences: int
    n_documents: int
    n_cells: int
    """Of the largest layer."""
    gated: bool
    layers: tuple[LayerUpdates, ...]
    fallen: Estimate
    """Mean of all layers but the highest, in which every token falls by definition."""
    of_lengths: Estimate
    """Mean of all layers."""
    of_output: Estimate
    negative: Estimate


def _run(study: Geva2022, listen: StageListener) -> SubUpdatesResult:
    some = study.positions.some(study.options.update_positions, seed=study.options.seed)
    found = measure_sub_updates(
        study.model,
        some,
        bos=study.bos,
        seed=study.options.seed,
        on_positions=lambda done: listen(Stage(EXPERIMENT, done, len(some))),
    )
    study.results.save_arrays(EXPERIMENT, {one.name: getattr(found, one.name) for one in fields(SubUpdates)})
    at = AtPositions(found)
    return SubUpdatesResult(
        n_positions=len(some),
        n_sentences=len(some.prefixes.sentences),
        n_documents=len(np.unique(found.document)),
        n_cells=max(layer.n_cells for layer in study.model.facts.layers),
        gated=study.model.facts.gated,
        layers=_layers(at, study.layer_names(), study.options.seed),
        fallen=mean_ratio(at.sums(_fallen(found)[:, :-1])).estimate,
        of_lengths=mean_ratio(at.sums(found.of_lengths)).estimate,
        of_output=mean_ratio(at.sums(found.of_output)).estimate,
        negative=mean_ratio(at.sums(found.negative)).estimate,
    )


class AtPositions:
    """What happened at each position, ready to be summed by document.

    Args:
        found: what was measured.
    """

    def __init__(self, found: SubUpdates) -> None:
        self.found = found
        self._groups, self._n_groups = numbered(found.document)

    def sums(self, values: np.ndarray) -> Sums:
        """Of a number for each position and layer; NaN: left out."""
        return Sums.of(values, self._groups, self._n_groups)

    def pooled(self, values: np.ndarray) -> Sums:
        """The same of all layers together, in one column."""
        sums = self.sums(values)
        return Sums(sums.above.sum(1, keepdims=True), sums.below.sum(1, keepdims=True))

    def where_it_changes(self, stat: Stat, token: Token, *, random: bool = False) -> np.ndarray:
        """One of the numbers where the layer replaces the candidate; NaN elsewhere."""
        found: np.ndarray = np.where(self.found.changes, self.found.stat(stat, token, random=random), np.nan)
        return found


def _fallen(found: SubUpdates) -> np.ndarray:
    """Of the tokens above the prediction, the share that falls; NaN where there is none."""
    shares: np.ndarray = np.where(found.n_above > 0, found.n_fallen / np.maximum(found.n_above, 1), np.nan)
    return shares


def _layers(at: AtPositions, names: list[str], seed: int) -> tuple[LayerUpdates, ...]:
    found = at.found

    def means(values: np.ndarray) -> list[Estimate]:
        return ratios(at.sums(values), seed=seed)

    saturates = means(found.saturation_layer[:, None] == np.arange(len(names)))
    scored = {token: _scored(at, token, means) for token in TOKENS}
    changes, fallen = means(found.changes), means(_fallen(found))
    of_lengths, of_output, negative = (means(one) for one in (found.of_lengths, found.of_output, found.negative))
    return tuple(
        LayerUpdates(
            layer=name,
            saturates=saturates[place],
            changes=changes[place],
            fallen=fallen[place],
            of_lengths=of_lengths[place],
            of_output=of_output[place],
            negative=negative[place],
            scored={token: scored[token][place] for token in TOKENS},
        )
        for place, name in enumerate(names)
    )


def _scored(at: AtPositions, token: Token, means: Callable[[np.ndarray], list[Estimate]]) -> list[Scored]:
    """How a token is scored in each layer."""

    def columns(random: bool) -> dict[Stat, list[Estimate]]:
        if token == "final":
            return {stat: means(at.found.stat(stat, token, random=random)) for stat in STATS}
        return {stat: means(at.where_it_changes(stat, token, random=random)) for stat in STATS}

    own, other = columns(False), columns(True)
    return [
        Scored(*({stat: one[stat][layer] for stat in STATS} for one in (own, other)))
        for layer in range(at.found.stats.shape[1])
    ]


def applies(findings: Findings) -> bool:
    """Whether sub-updates were looked at."""
    return EXPERIMENT in findings.values


def updates(findings: Findings) -> SubUpdatesResult:
    """What came of it."""
    return findings.get(EXPERIMENT, SubUpdatesResult)


def at_positions(results: Results) -> AtPositions:
    """The arrays that lie beside the result."""
    return AtPositions(SubUpdates(**results.load_arrays(EXPERIMENT)))


def sample(findings: Findings) -> str:
    """What it was measured on."""
    found = updates(findings)
    return (
        f"{found.n_positions:,} random positions of {found.n_sentences:,} held-out sentences of {found.n_documents:,} "
        "documents; intervals by drawing documents"
    )


def _saturation_reading(findings: Findings) -> str:
    layers = updates(findings).layers
    most = max(layers, key=lambda layer: layer.saturates.value)
    last = layers[-1]
    return (
        f"Most predictions settle in {most.layer} ({share(most.saturates.value)} of the positions); in the highest layer "
        f"{share(last.saturates.value)} still do, and {share(last.changes.value)} of the candidates are replaced."
    )


def _saturation_numbers(findings: Findings) -> Iterator[Number]:
    layers = updates(findings).layers
    yield Number.of("predictions that settle in the highest layer", "-", layers[-1].saturates)
    yield Number.of("candidates that the highest layer replaces", "-", layers[-1].changes)
    yield Number.of(
        "tokens above the prediction that a layer puts below it, mean of layers but the highest",
        "-",
        updates(findings).fallen,
    )


def _saturation_charts(findings: Findings) -> Iterator[Chart]:
    layers = updates(findings).layers
    rows = line_rows(layers, {"predictions that settle here": lambda layer: layer.saturates})
    yield Chart("settles", "The layer from which on the prediction stays on top.", "shares", rows, "positions")
    rows = line_rows(
        layers,
        {
            "candidates that are replaced": lambda layer: layer.changes,
            "tokens above the prediction that fall below it": lambda layer: layer.fallen,
        },
    )
    yield Chart("falls", "What falls in each layer.", "lines", rows, "share")


def _dominant_reading(findings: Findings) -> str:
    found = updates(findings)
    signs = f"; {share(found.negative.value)} of them write the negative of their value" if found.gated else ""
    return (
        f"The {N_DOMINANT} largest of up to {found.n_cells:,} sub-updates have {share(found.of_lengths.value)} of their "
        f"lengths, and are {share(found.of_output.value)} of the update along it, at the mean over layers{signs}."
    )


def _dominant_numbers(findings: Findings) -> Iterator[Number]:
    found = updates(findings)
    yield Number.of("the ten largest sub-updates, of the lengths of all, mean of layers", "-", found.of_lengths)
    yield Number.of(
        "the ten largest sub-updates, of the update along it, mean of layers", "5 to 20 % of y", found.of_output
    )
    if found.gated:
        yield Number.of("dominant sub-updates with a coefficient below 0, mean of layers", "-", found.negative)


def _dominant_charts(findings: Findings) -> Iterator[Chart]:
    found = updates(findings)
    series = {
        "of the lengths of all sub-updates": lambda layer: layer.of_lengths,
        "of the update, along it": lambda layer: layer.of_output,
    }
    if found.gated:
        series["with a coefficient below 0"] = lambda layer: layer.negative
    rows = line_rows(found.layers, series)
    yield Chart("dominant", "The ten largest sub-updates of each layer.", "lines", rows, "share")


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment(EXPERIMENT, SubUpdatesResult, _run)],
    results={EXPERIMENT: SubUpdatesResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Saturation",
            title="Where predictions settle",
            question="In which layer does the prediction come to the top for good, and which tokens does it pass?",
            definition="""
The top token of o, the stream after a feed-forward layer, read as the last one is. A prediction settles in the first layer
from which on it stays on top. A layer replaces the candidate, the top token before it, if another is on top after it; a token
falls if it is above the prediction before the layer and no longer after it.""",
            conclude="""
It says when the top token stops changing under this reading, not when the model has decided; attention between the layers has
its part in what is on top.""",
            applies=applies,
            reading=_saturation_reading,
            sample=sample,
            numbers=_saturation_numbers,
            charts=_saturation_charts,
        ),
        Exhibit(
            order=2,
            name="Dominant sub-updates",
            title="How much of an update ten cells are",
            question="How much of what a layer adds comes from its ten largest sub-updates?",
            definition="""
A sub-update is m v, coefficient times value, as it reaches the stream. The ten longest of a layer at a position: their share of
the sum of all lengths; and of the update y itself: (their sum . y) / |y|^2, y with its bias. The share can exceed 100 %, where
the others work against them.""",
            conclude="""
The paper's ten are of 4,096 cells (0.24 %); of a layer with fewer cells ten are a larger part from the start. Controls say what
ten of as many come to without anything learned.""",
            applies=applies,
            reading=_dominant_reading,
            sample=sample,
            numbers=_dominant_numbers,
            charts=_dominant_charts,
        ),
    ),
)
