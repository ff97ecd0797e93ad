"""Does meaning grow with depth? Every layer's cells, and random directions of its stream, asked the same from one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.in_parallel import of_layers
from ffmem.analyses.indexed import check_model
from ffmem.analyses.meaning.directions import TurnedCells, can_turn
from ffmem.analyses.meaning.draws import differences, trends
from ffmem.analyses.meaning.layer import Ground, LayerFound, measure_layer
from ffmem.analyses.meaning.results import LayerMeaning, Meaning, SizeMeaning
from ffmem.analyses.meaning.sample import Sample, draw_sample
from ffmem.analyses.meaning.states import States, folder_for_states, states_at
from ffmem.analyses.meaning.transplant import Kept, Transplants, make_transplants, what_is_kept
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index

MIN_DOCUMENTS, MIN_POSITIONS = 10, 500
"""With less there is nothing to fit, and nothing to draw."""
SIZES = (0.1, 1 / 3, 1.0)
"""Shares of the documents that the headlines are told from."""
Coefficients = Float[np.ndarray, "n cells"]


@dataclass(frozen=True)
class _Asked:
    """What is asked of a model, and what it answered."""

    ground: Ground
    cells: Sequence[Int64[np.ndarray, "some"]]
    states: States
    transplants: Transplants | None
    transplanted: States | None

    def kept(self, own: Coefficients, of_sequences: Coefficients) -> Kept | None:
        """What the transplants keep of the coefficients at the sample's positions."""
        if self.transplants is None:
            return None
        other, same = self.transplants.by_position(self.ground.signed(of_sequences))
        return what_is_kept(self.ground.signed(own[self.transplants.position]), other, same)


def measure_meaning(
    index: Index,
    model: Transformer,
    folder: Path,
    *,
    n_positions: int = 60_000,
    n_cells: int = 100,
    n_transplanted: int = 400,
    seed: int = 0,
    on_stage: Callable[[str, int, int], None] = lambda *_: None,
) -> Meaning:
    """What cells' coefficients are made of, layer by layer, and how that goes with depth.

    The variance of coefficients is split out of sample: see `split_variance`; the strongest positions of each unit are
    compared with matched ones: see `coherence`; contexts are transplanted: see `make_transplants`. All of it again for as
    many random directions of the same stream: see `TurnedCells`.

    Args:
        index: a finished index; positions are drawn from its text, that which it holds back included.
        model: its model.
        folder: where states lie while they are needed.
        n_positions: how many are looked at, at most.
        n_cells: random cells of each layer.
        n_transplanted: positions whose beginnings are replaced; 0: none.
        seed: of all draws.
        on_stage: called with what is done, how far, and of how much.

    Raises:
        InputError: the model is another one, or the text is too small.

    Cost: one pass over the positions, one over five times the transplanted ones; for each layer, cell and fold some ten looks
        at every position. On disk 2 bytes for each position and each number of a layer's input or chosen cell.

    Source: Geva et al. 2021, section 3, where people found semantic patterns in upper layers, and shallow ones in lower ones.
    """
    check_model(index, model)
    sample = _checked(draw_sample(index, n_positions, causal=model.facts.causal, seed=seed), index)
    cells = [
        np.sort(np.random.default_rng([seed, place, 13]).permutation(layer.n_cells)[:n_cells])
        for place, layer in enumerate(model.cells.layers)
    ]
    turns = can_turn(model)
    with folder_for_states(folder) as room:
        asked = _ask(index, model, sample, cells, n_transplanted, room, turns, seed, on_stage)
        n = model.facts.n_layers
        both = of_layers(
            n,
            lambda place: (_of_cells(asked, place), _of_directions(asked, model, place) if turns else None),
            lambda place: on_stage("layers", place + 1, n),
        )
        layers = [cells for cells, _ in both]
        directions = [turned for _, turned in both if turned is not None]
        sizes = _of_sizes(asked, layers)
    return _told(model, asked, layers, directions, sizes)


def _checked(sample: Sample, index: Index) -> Sample:
    """The sample, if it is not too small."""
    if sample.n_documents < MIN_DOCUMENTS or len(sample) < MIN_POSITIONS:
        raise InputError(
            f"the text of {index.folder} gives {len(sample):,} positions of {sample.n_documents:,} documents",
            f"Expected at least {MIN_POSITIONS} of {MIN_DOCUMENTS}, to tell meaning from words",
            "Build an index over more text",
        )
    return sample


def _ask(
    index: Index,
    model: Transformer,
    sample: Sample,
    cells: Sequence[Int64[np.ndarray, "some"]],
    n_transplanted: int,
    room: Path,
    inputs: bool,
    seed: int,
    on_stage: Callable[[str, int, int], None],
) -> _Asked:
    """The passes of the model."""
    bos = index.manifest.options.bos
    states = states_at(
        model, bos, sample.sentences, sample.first, cells, inputs=inputs, folder=room,
        on_sentences=lambda done, n: on_stage("sentences read", done, n),
    )  # fmt: skip
    transplants, transplanted = None, None
    if sample.causal and n_transplanted:
        transplants = make_transplants(sample, n_transplanted, seed=seed)
        if not len(transplants.position):
            transplants = None
    if transplants is not None:
        last = np.array([len(one) - 1 for one in transplants.sequences])
        transplanted = states_at(
            model, bos, transplants.sequences, last, cells, inputs=inputs,
            on_sentences=lambda done, n: on_stage("transplants read", done, n),
        )  # fmt: skip
    return _Asked(Ground(sample, seed, index.n_signs), cells, states, transplants, transplanted)


def _of_cells(asked: _Asked, place: int) -> LayerFound:
    own = asked.states.coefficients(place)
    of_sequences = own[:0] if asked.transplanted is None else asked.transplanted.coefficients(place)
    at = own[:0] if asked.transplants is None else asked.transplants.position
    return measure_layer(asked.ground, own, asked.kept(own, of_sequences), at, (place, 0))


def _of_directions(asked: _Asked, model: Transformer, place: int) -> LayerFound:
    inputs = asked.states.inputs(place)
    turned = TurnedCells(model, place, asked.cells[place], inputs, seed=asked.ground.seed)
    own = turned.coefficients(inputs)
    of_sequences = own[:0]
    at = own[:0] if asked.transplants is None else asked.transplants.position
    if asked.transplanted is not None:
        of_sequences = turned.coefficients(asked.transplanted.inputs(place))
    return measure_layer(asked.ground, own, asked.kept(own, of_sequences), at, (place, 1))


def _of_sizes(asked: _Asked, layers: Sequence[LayerFound]) -> tuple[SizeMeaning, ...]:
    """The lowest and the highest third of the layers once more, from fewer documents."""
    third = max(1, len(layers) // 3)
    ends = [*range(third), *range(len(layers) - third, len(layers))]
    found = []
    for share in SIZES:
        sample, positions = asked.ground.sample.part(share) if share < 1 else (asked.ground.sample, None)
        if sample.n_documents < MIN_DOCUMENTS or len(sample) < MIN_POSITIONS:
            continue
        if positions is None:
            of_ends = [layers[place] for place in ends]
        else:
            ground = Ground(sample, asked.ground.seed, asked.ground.n_signs)
            of_ends = of_layers(len(ends), partial(_of_part, asked, ground, positions, ends), lambda _: None)
        halves = [of_ends[:third], of_ends[third:]]
        bottom, top = ([one.drawn for one in half] for half in halves)
        contrasts = differences(top, bottom, sample.n_documents, whole=True)
        found.append(SizeMeaning(sample.n_documents, len(sample), contrasts))
    return tuple(found)


def _of_part(
    asked: _Asked, ground: Ground, positions: Int64[np.ndarray, "some"], places: Sequence[int], number: int
) -> LayerFound:
    c = asked.states.coefficients(places[number])[positions]
    return measure_layer(ground, c, None, positions, (places[number], 0))


def _told(
    model: Transformer,
    asked: _Asked,
    layers: Sequence[LayerFound],
    directions: Sequence[LayerFound],
    sizes: tuple[SizeMeaning, ...],
) -> Meaning:
    sample = asked.ground.sample
    n = sample.n_documents
    names = [one.name for one in model.cells.layers]

    def told(found: Sequence[LayerFound]) -> tuple[LayerMeaning, ...]:
        return tuple(one.told(name, n) for one, name in zip(found, names, strict=False))

    cells, turned = [one.drawn for one in layers], [one.drawn for one in directions]
    lifts = [one.smallest_lift for one in layers if np.isfinite(one.smallest_lift)]
    return Meaning(
        n_documents=n,
        n_sentences=len(sample.sentences),
        n_positions=len(sample),
        n_transplanted=0 if asked.transplants is None else len(asked.transplants.position),
        n_cells=max(len(rows) for rows in asked.cells),
        has_labels=sample.label_of is not None,
        causal=sample.causal,
        likeness="earlier words" if sample.label_of is None else "topic",
        smallest_lift=float(np.median(lifts)) if lifts else float("nan"),
        layers=told(layers),
        directions=told(directions),
        trends=trends(cells, n),
        of_directions=trends(turned, n) if directions else {},
        differences=differences(cells, turned, n) if directions else {},
        sizes=sizes,
        left_out=tuple(_left_out(asked, directions)),
    )


def _left_out(asked: _Asked, directions: Sequence[LayerFound]) -> list[str]:
    reasons = []
    if asked.ground.sample.label_of is None:
        reasons.append("documents have no labels, so that nothing is said of topics")
    if asked.transplants is None:
        reasons.append(
            "no context is transplanted: "
            + (
                "no sentence is long enough, or none was asked for"
                if asked.ground.sample.causal
                else "a state depends on what comes after its word, too"
            )
        )
    if not directions:
        reasons.append(
            "there are no random directions: experts see only what is routed to them, or the activation is not known"
        )
    return reasons
