"""The experiments: points of sentences, of the same with shuffled words, and of cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.analyses.geometry.clouds import CloudMeasure, Scales, measure_cloud, overlaps, plateau, without_largest
from ffmem.analyses.geometry.halves import halves_of, of_halves
from ffmem.analyses.geometry.sentences import bags_of_words, shuffled_words
from ffmem.analyses.geometry.states import points_of
from ffmem.analyses.in_parallel import of_layers
from ffmem.analyses.intervals import NOTHING, Estimate, numbered
from ffmem.ids import LayerCells
from ffmem.models.inputs import longest_input
from ffmem.models.transformer import Transformer
from ffmem.studies.study import Stage, StageListener
from ffmem.studies.valeriani2023.context import Valeriani2023
from ffmem.studies.valeriani2023.findings import CELLS, REDUCED, TEXT, WORDS, Cloud, Geometry

Points = Mapping[str, Sequence[np.ndarray]]
"""By kind, of each layer."""
Pairs = Callable[[str, int], tuple[str, int] | None]
"""From a cloud, by kind and place, to the one that its neighbours are compared with."""


@dataclass(frozen=True)
class _Asked:
    """What clouds of the same points are asked."""

    scales: Scales
    halves: Bool[np.ndarray, "halves n"]
    groups: int
    label: Int64[np.ndarray, " n"] | None = None
    document: Int64[np.ndarray, " n"] | None = None


def measure_text(study: Valeriani2023, listen: StageListener) -> Geometry:
    """Every kind of points, of the sentences as they are."""
    sentences, n = study.sentences, len(study.sentences)

    def on_pass(done: int) -> None:
        listen(Stage(TEXT, done, n))

    found = points_of(study.model, sentences.tokens, study.bos, on_pass=on_pass)
    points: dict[str, list[np.ndarray]] = {kind: some for kind, some in found.items()}  # noqa: C416 (of any name)
    points[REDUCED] = [without_largest(one) for one in found["o"]]
    asked = _Asked(Scales.of(n), study.halves, study.groups[1], sentences.label, sentences.document)
    layers, within = study.model.facts.layers, _next_layer(study.model.facts.layers)
    measured = _measured(points, asked, lambda done: listen(Stage(f"{TEXT}, distances", done, len(layers))))
    chance, blind, blind_halves = np.nan, NOTHING, np.full(len(study.halves), np.nan)
    if sentences.label is not None:
        words = measure_cloud(bags_of_words(sentences.tokens), asked.scales, asked.halves, asked.label, asked.document)
        blind = of_halves(words.label, words.label_halves, asked.groups, n).estimate
        chance, blind_halves = _chance(sentences.label, sentences.document), words.label_halves
    at, change = plateau(np.stack([one.gride for one in measured["o"]]))
    return _kept(
        study, TEXT, measured, asked, within, (at, change), layers,
        n_repeated=sentences.n_repeated, label_field=sentences.label_field, n_labels=len(sentences.label_names),
        chance=chance, blind=blind, further={"blind halves": blind_halves},
    )  # fmt: skip


def measure_words(study: Valeriani2023, listen: StageListener) -> Geometry:
    """The layers' output of the same sentences with their words in random order, at the scale of the others."""
    most = longest_input(study.model) - sum(map(len, study.model.special_tokens(study.bos)))
    mixed = shuffled_words(study.index.text, study.sentences.ids, most=most, seed=study.options.seed)

    def on_pass(done: int) -> None:
        listen(Stage(WORDS, done, len(mixed)))

    found = points_of(study.model, mixed, study.bos, kinds=("o", "o, last token"), on_pass=on_pass)
    points: Points = {str(kind): some for kind, some in found.items()}
    sentences = study.sentences
    asked = _Asked(Scales.of(len(mixed)), study.halves, study.groups[1], sentences.label, sentences.document)
    layers, text = study.model.facts.layers, study.results.load(TEXT, Geometry)
    measured = _measured(points, asked, lambda done: listen(Stage(f"{WORDS}, distances", done, len(layers))))
    return _kept(study, WORDS, measured, asked, _next_layer(layers), (text.at, text.change), layers)


def measure_cells(study: Valeriani2023, listen: StageListener) -> Geometry:
    """A point for each cell, by its key, or keys, and by its value."""
    model = study.model
    layers = model.facts.layers
    n = min(study.options.points, *(one.n_cells for one in layers))
    rows = [
        np.sort(np.random.default_rng([study.options.seed, 55, place]).permutation(one.n_cells)[:n])
        for place, one in enumerate(layers)
    ]
    points = {
        kind: [_vectors(model, kind, place)[rows[place]] for place in range(len(layers))] for kind in _kinds(model)
    }
    groups, n_groups = numbered(np.arange(n))
    asked = _Asked(Scales.of(n), halves_of(groups, n_groups, seed=study.options.seed), n_groups)
    measured = _measured(points, asked, lambda done: listen(Stage(CELLS, done, len(layers))))
    found = plateau(np.concatenate([np.stack([one.gride for one in some]) for some in measured.values()]))
    return _kept(study, CELLS, measured, asked, _to_values, found, layers)


def _kinds(model: Transformer) -> tuple[str, ...]:
    return ("gate keys", "up keys", "values") if model.facts.gated else ("keys", "values")


def _vectors(model: Transformer, kind: str, place: int) -> np.ndarray:
    of: Mapping[str, Callable[[int], object]] = {
        "keys": model.keys, "gate keys": model.gate_keys, "up keys": model.up_keys, "values": model.values,
    }  # fmt: skip
    found: np.ndarray = of[kind](place).detach().float().cpu().numpy()  # type: ignore[attr-defined]
    return found


def _next_layer(layers: Sequence[LayerCells]) -> Pairs:
    """The same kind in the layer above, within a stack."""

    def pair(kind: str, place: int) -> tuple[str, int] | None:
        there = place + 1 < len(layers) and layers[place].stack == layers[place + 1].stack
        return (kind, place + 1) if there else None

    return pair


def _to_values(kind: str, place: int) -> tuple[str, int] | None:
    """The same cells by their values."""
    return None if kind == "values" else ("values", place)


def _chance(label: np.ndarray, document: np.ndarray) -> float:
    """The share of pairs of different documents that have one label, mean of points."""
    _, per_document = np.unique(document, return_inverse=True)
    own, own_label = np.bincount(per_document)[per_document], np.bincount(label)[label]
    others = len(label) - own
    return float(((own_label - own) / np.maximum(others, 1))[others > 0].mean()) if (others > 0).any() else np.nan


def _measured(points: Points, asked: _Asked, on_layer: Callable[[int], None]) -> dict[str, list[CloudMeasure]]:
    n_layers = len(next(iter(points.values())))

    def of_layer(place: int) -> dict[str, CloudMeasure]:
        return {
            kind: measure_cloud(some[place], asked.scales, asked.halves, asked.label, asked.document)
            for kind, some in points.items()
        }

    found = of_layers(n_layers, of_layer, lambda place: on_layer(place + 1))
    return {kind: [one[kind] for one in found] for kind in points}


def _kept(
    study: Valeriani2023,
    experiment: str,
    measured: Mapping[str, Sequence[CloudMeasure]],
    asked: _Asked,
    pairs: Pairs,
    scale: tuple[int, float],
    layers: Sequence[LayerCells],
    *,
    n_repeated: int = 0,
    label_field: str = "",
    n_labels: int = 0,
    chance: float = float("nan"),
    blind: Estimate = NOTHING,
    further: Mapping[str, np.ndarray] = {},
) -> Geometry:
    """What was measured as a result, with what halves say beside it."""
    n, arrays, clouds = asked.halves.shape[1], dict(further), {}
    for kind, some in measured.items():
        near = [_overlap(measured, pairs(kind, place), one, asked) for place, one in enumerate(some)]
        arrays |= {
            f"{kind} dimension": np.stack([one.gride for one in some]),
            f"{kind} dimension halves": np.stack([one.gride_halves for one in some]),
            f"{kind} labelled": np.array([one.label for one in some]),
            f"{kind} labelled halves": np.stack([one.label_halves for one in some]),
            f"{kind} near": np.array([value for value, _ in near]),
            f"{kind} near halves": np.stack([halves for _, halves in near]),
        }
        clouds[kind] = tuple(_cloud(layers[place], one, near[place], asked, scale[0]) for place, one in enumerate(some))
    study.results.save_arrays(experiment, arrays)
    return Geometry(
        n_points=n,
        n_groups=asked.groups,
        n_repeated=n_repeated,
        label_field=label_field,
        n_labels=n_labels,
        k=asked.scales.k,
        orders=asked.scales.orders,
        divisors=asked.scales.divisors,
        at=scale[0],
        change=scale[1],
        chance=chance,
        blind=blind,
        clouds=clouds,
    )


def _overlap(
    measured: Mapping[str, Sequence[CloudMeasure]], other: tuple[str, int] | None, one: CloudMeasure, asked: _Asked
) -> tuple[float, np.ndarray]:
    if other is None:
        return float("nan"), np.full(len(asked.halves), np.nan)
    return overlaps(one.neighbours, measured[other[0]][other[1]].neighbours, asked.scales.k, asked.halves)


def _cloud(layer: LayerCells, one: CloudMeasure, near: tuple[float, np.ndarray], asked: _Asked, at: int) -> Cloud:
    n = asked.halves.shape[1]

    def estimate(value: float, halves: np.ndarray) -> Estimate:
        return of_halves(float(value), halves, asked.groups, n).estimate if value == value else NOTHING

    return Cloud(
        layer=layer.name,
        stack=layer.stack,
        dimension=estimate(one.gride[at], one.gride_halves[:, at]),
        gride=tuple(one.gride.tolist()),
        two_nn=one.two_nn,
        two_nn_ml=one.two_nn_ml,
        decimated=one.decimated,
        n_duplicates=one.neighbours.n_duplicates,
        labelled=estimate(one.label, one.label_halves),
        near=estimate(*near),
    )
