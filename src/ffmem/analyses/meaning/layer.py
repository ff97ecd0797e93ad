"""One layer, from its coefficients to its measures over draws of documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.analyses.meaning.draws import LayerDraws, document_weights, estimate, quotient
from ffmem.analyses.meaning.matched import Coherence, Cosine, Groups, Likeness, SameLabel, blocks, coherence, strongest
from ffmem.analyses.meaning.results import LayerMeaning, Measure
from ffmem.analyses.meaning.sample import Sample
from ffmem.analyses.meaning.transplant import Kept
from ffmem.analyses.meaning.variance import LEVELS, Errors, split_variance, standardised

MIN_ACTIVE = 0.001
"""Cells that are active at fewer positions are left out: a few documents would decide what is told of them."""


@dataclass(frozen=True)
class Ground:
    """What all layers are measured on."""

    sample: Sample
    seed: int
    n_signs: int
    """2 for gated cells: each sign of a coefficient is a unit of its own."""

    @cached_property
    def block(self) -> Int64[np.ndarray, "documents"]:
        """What each document is drawn together with."""
        return blocks(self.sample.n_documents, np.random.default_rng([self.seed, 11]))

    @cached_property
    def weights(self) -> Float64[np.ndarray, "draws_and_one blocks"]:
        """How often each block counts: see `document_weights`."""
        return document_weights(int(self.block.max(initial=0)) + 1, np.random.default_rng([self.seed, 12]))

    @cached_property
    def shuffled(self) -> Float32[np.ndarray, "n dimensions"]:
        """Earlier words of other sentences."""
        return self.sample.shuffled_earlier(self.seed)

    @cached_property
    def same_words(self) -> tuple[Groups, Groups]:
        """Positions by their last token, and by their last two."""
        last, last_two = (Groups(self.sample.levels[level], self.sample.document, seed=self.seed) for level in (0, 1))
        return last, last_two

    @cached_property
    def likeness(self) -> Likeness:
        """Of one topic, if documents have labels; else of alike earlier words."""
        if self.sample.label_of is None:
            return Cosine(self.sample.earlier)
        return SameLabel(self.sample.label_of[self.sample.document])

    def unit_weights(self, n: int, stream: tuple[int, ...]) -> Float64[np.ndarray, "draws_and_one n"]:
        """How often each cell counts in each draw: the cells of a layer are a sample, too, and some hold far more than others.

        Args:
            n: cells.
            stream: whose they are: other numbers draw others.
        """
        return document_weights(n, np.random.default_rng([self.seed, 15, *stream]))

    def signed(self, c: Float[np.ndarray, "n cells"]) -> Float[np.ndarray, "n units"]:
        """Coefficients times each sign that makes a unit."""
        return np.concatenate((c, -c), axis=1) if self.n_signs == 2 else c


@dataclass(frozen=True)
class LayerFound:
    """What one layer came to."""

    n_cells: int
    drawn: LayerDraws
    counted: dict[Measure, Estimate]
    """Shares of units, which are not drawn anew."""
    smallest_lift: float

    def told(self, name: str, n_documents: int) -> LayerMeaning:
        """As a result."""
        drawn = {measure: estimate(values, n_documents) for measure, values in self.drawn.items()}
        return LayerMeaning(name, self.n_cells, drawn | self.counted)


def measure_layer(
    ground: Ground, c: Float[np.ndarray, "n cells"], kept: Kept | None, at: np.ndarray, stream: tuple[int, ...]
) -> LayerFound:
    """A layer's measures. Each draw takes documents anew, the same for all layers, and cells anew, for each layer by itself.

    Args:
        ground: what all layers share.
        c: coefficients at the sample's positions.
        kept: what transplants keep; None: there are none.
        at: the sample's positions that these are of.
        stream: numbers that tell this layer from others, for the draws of its cells.
    """
    units = ground.unit_weights(c.shape[1], stream)
    active = (c != 0).mean(0) >= MIN_ACTIVE
    able = standardised(c)
    told = np.flatnonzero(active & able.any(0))
    able = able[:, told]
    drawn: dict[Measure, np.ndarray] = {}
    counted: dict[Measure, Estimate] = {}
    if able.shape[1]:
        errors = split_variance(able, ground.sample, ground.shuffled, seed=ground.seed)
        _add_variance(ground, errors, units[:, told], drawn, counted)
    signed = ground.signed(units)
    smallest = _add_coherence(ground, np.ascontiguousarray(ground.signed(c).T), np.abs(signed), drawn, counted)
    if kept is not None:
        _add_kept(ground, kept, at, np.abs(signed), drawn)
    return LayerFound(able.shape[1], drawn, counted, smallest)


def _add_variance(
    ground: Ground,
    errors: Errors,
    units: Float64[np.ndarray, "draws_and_one units"],
    drawn: dict[Measure, np.ndarray],
    counted: dict[Measure, Estimate],
) -> None:
    def over_draws(of_documents: np.ndarray) -> np.ndarray:
        sums = np.zeros((ground.weights.shape[1], of_documents.shape[1]))
        np.add.at(sums, ground.block, of_documents)
        weighted: np.ndarray = ground.weights @ sums
        return weighted

    total = over_draws(errors.mean)

    def share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return quotient(over_draws(before - after), total)

    token, _, gram, position = (errors.levels[level] for level in range(len(LEVELS)))
    parts: dict[Measure, np.ndarray] = {
        "token": share(errors.mean, token),
        "n-grams": share(token, gram),
        "position": share(gram, position),
        "earlier words": share(position, errors.words),
        "earlier words, shuffled": share(position, errors.shuffled_words),
        "unexplained": share(errors.words, np.zeros_like(errors.words)),
    }
    if errors.topic is not None and errors.shuffled_topic is not None:
        parts |= {"topic": share(position, errors.topic), "topic, shuffled": share(position, errors.shuffled_topic)}
    drawn |= {name: _mean_over_units(values, units) for name, values in parts.items()}
    together: Sequence[tuple[Measure, Measure]] = (
        ("units with earlier words", "earlier words"),
        ("units with topic", "topic"),
    )
    for name, of in together:
        if of in parts:
            low = np.nanquantile(parts[of][1:], 0.025, axis=0)
            counted[name] = proportion(int((low > 0).sum()), len(low))


def _mean_over_units(
    values: Float64[np.ndarray, "draws_and_one units"], units: Float64[np.ndarray, "draws_and_one units"]
) -> Float64[np.ndarray, "draws_and_one"]:
    """Of those that the number itself is known of; in a draw without any of its active documents a unit is passed over."""
    counts = np.where(np.isfinite(values) & np.isfinite(values[0]), units, 0)
    n = counts.sum(1)
    sums = (counts * np.where(counts > 0, values, 0)).sum(1)
    return quotient(sums, n)


def _add_coherence(
    ground: Ground,
    c: Float[np.ndarray, "units n"],
    units: Float64[np.ndarray, "draws_and_one units"],
    drawn: dict[Measure, np.ndarray],
    counted: dict[Measure, Estimate],
) -> float:
    sample = ground.sample
    triggers = strongest(c, sample.document)
    found: list[Coherence] = [
        coherence(triggers, groups, sample.document, ground.block, ground.likeness, seed=ground.seed)
        for groups in ground.same_words
    ]
    (own, matched), (own_two, matched_two) = (one.levels(ground.weights) + _of_drawn_units(one, units) for one in found)
    drawn["coherence"], drawn["lift"] = own, quotient(own, matched)
    drawn["lift, same two words"], drawn["gain, same two words"] = quotient(own_two, matched_two), own_two - matched_two
    above = found[0].above_all
    counted["units above"] = proportion(int(above.sum()), len(above))
    return found[0].smallest_lift


def _of_drawn_units(
    found: Coherence, units: Float64[np.ndarray, "draws_and_one units"]
) -> Float64[np.ndarray, "two draws_and_one"]:
    """How far the means of units, own and matched, are from what they are if other units are drawn."""
    told = ~np.isnan(found.own)
    n_pairs = found.n_pairs * told
    means = np.stack([found.own, found.matched.mean(0)])
    sums = units @ (n_pairs * np.where(told, means, 0)).T
    levels = (sums / np.maximum(units @ n_pairs, 1e-9)[:, None]).T
    differences: np.ndarray = levels - levels[:, :1]
    return differences


def _add_kept(
    ground: Ground,
    kept: Kept,
    at: np.ndarray,
    units: Float64[np.ndarray, "draws_and_one units"],
    drawn: dict[Measure, np.ndarray],
) -> None:
    weights = ground.weights[:, ground.block[ground.sample.document[at]]]
    other, gain, chance = kept.ratios(lambda values: weights @ values)
    drawn["kept"] = _mean_over_units(other, units)
    drawn["kept more by chance"] = _mean_over_units(chance, units)
    if np.isfinite(gain[0]).any():
        drawn["kept more with the same topic"] = _mean_over_units(gain, units)
