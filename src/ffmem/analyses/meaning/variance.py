"""What a coefficient is made of: its variance split into last token, n-grams, position, then topic or earlier words.

Each part is fitted on what those before it leave, on some documents, and told on the others.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64

from ffmem.analyses.meaning.nested import fit_fold, shrinkages
from ffmem.analyses.meaning.sample import Sample

RIDGE = 300.0
"""Penalty of the regression on the vector of earlier words, whose length is 1."""
N_LABEL_PERMUTATIONS = 20
"""Of labels among documents, for what they would say by chance."""
_LARGEST = 20.0
"""Standard deviations that a coefficient is clipped at: a few massive ones would decide everything."""
_UNITS_AT_A_TIME = 16
LEVELS = ("token", "2-gram", "3-gram", "position")


@dataclass(frozen=True)
class Errors:
    """Sums of squared errors on documents that were left out."""

    mean: Float64[np.ndarray, "documents units"]
    """About the mean of the other documents."""
    levels: Float64[np.ndarray, "levels documents units"]
    """After each of `LEVELS`."""
    words: Float64[np.ndarray, "documents units"]
    """After the position, with earlier words."""
    shuffled_words: Float64[np.ndarray, "documents units"]
    """With those of other sentences instead."""
    topic: Float64[np.ndarray, "documents units"] | None
    """After the position, with the document's label; None if there are none."""
    shuffled_topic: Float64[np.ndarray, "documents units"] | None
    """Mean over labels that are permuted among documents."""


def standardised(c: Float[np.ndarray, "n units"]) -> Float32[np.ndarray, "n units"]:
    """Coefficients at mean 0 and deviation 1; zeros for what never changes."""
    found: np.ndarray = c.astype(np.float32) - c.mean(0, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.einsum("nu,nu->u", found, found, dtype=np.float64) / max(len(c), 1))
    found /= np.where(deviation > 0, deviation, 1).astype(np.float32)
    np.clip(found, -_LARGEST, _LARGEST, out=found)
    return found


def split_variance(
    c: Float32[np.ndarray, "n units"], sample: Sample, shuffled: Float32[np.ndarray, "n dimensions"], *, seed: int = 0
) -> Errors:
    """Split c = mean + token + 2-gram + 3-gram + position, then + topic, or + earlier words, by folds of documents.

    Args:
        c: coefficients at the sample's positions: see `standardised`.
        sample: the positions.
        shuffled: vectors of other sentences' earlier words: see `Sample.shuffled_earlier`.
        seed: of the permutations of labels.

    Cost: for each unit and fold some ten looks at every position, and two products with the vectors.
    """
    levels, document = sample.levels.astype(np.int32), sample.document
    shape = (sample.n_documents, c.shape[1])
    mean_and_levels = np.zeros((len(LEVELS) + 1, *shape))
    words, shuffled_words = np.zeros((2, *shape))
    topic = None if sample.label_of is None else np.zeros((2, *shape))
    left = np.empty_like(c)
    for fold in np.unique(sample.fold_of):
        first, end = np.searchsorted(sample.fold_of[document], [fold, fold + 1]).tolist()
        _fit_levels(c, levels, (first, end), document, mean_and_levels, left)
        for vector, errors in ((sample.earlier, words), (shuffled, shuffled_words)):
            predicted = _ridge(left, vector, first, end)
            _add_squares(left[first:end] - predicted, document[first:end], errors)
        if topic is not None:
            _add_topic(left, sample, int(fold), mean_and_levels[-1], topic, seed)
    return Errors(
        mean=mean_and_levels[0],
        levels=mean_and_levels[1:],
        words=words,
        shuffled_words=shuffled_words,
        topic=None if topic is None else topic[0],
        shuffled_topic=None if topic is None else topic[1],
    )


def _fit_levels(
    c: np.ndarray,
    levels: np.ndarray,
    left_out: tuple[int, int],
    document: np.ndarray,
    errors: np.ndarray,
    left: np.ndarray,
) -> None:
    first, end = left_out
    n_groups = levels.max(1, initial=-1) + 1
    counts = np.zeros((len(levels), n_groups.max(initial=1)))
    for level, group in enumerate(levels):
        for part in (group[:first], group[end:]):
            counts[level, : n_groups[level]] += np.bincount(part, minlength=n_groups[level])

    def fit(at: int) -> None:
        some = slice(at, at + _UNITS_AT_A_TIME)
        own, of_block = np.ascontiguousarray(c[:, some]), np.ascontiguousarray(errors[:, :, some])
        rest = np.empty_like(own)
        fit_fold(own, levels, counts, n_groups, first, end, document, of_block, rest)
        left[:, some], errors[:, :, some] = rest, of_block

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(fit, range(0, c.shape[1], _UNITS_AT_A_TIME)))


def _ridge(
    left: Float32[np.ndarray, "n units"], vector: Float32[np.ndarray, "n dimensions"], first: int, end: int
) -> Float32[np.ndarray, "some units"]:
    """What the vectors say of the positions from ``first`` up to ``end``, fitted on all others."""
    fitted = vector.copy()
    fitted[first:end] = 0
    square = fitted.T.astype(np.float64) @ fitted + RIDGE * np.eye(vector.shape[1])
    weights = np.linalg.solve(square, (fitted.T @ left).astype(np.float64)).astype(np.float32)
    predicted: np.ndarray = vector[first:end] @ weights
    return predicted


def _add_squares(values: np.ndarray, document: np.ndarray, errors: np.ndarray) -> None:
    """Add the squares of (positions, units) to the documents that the positions are of, which are ascending."""
    if len(values):
        begins = np.flatnonzero(np.diff(document, prepend=-1))
        errors[document[begins]] += np.add.reduceat(np.square(values, out=values), begins, axis=0, dtype=np.float64)


def _add_topic(left: np.ndarray, sample: Sample, fold: int, before: np.ndarray, found: np.ndarray, seed: int) -> None:
    """Errors with topics (own, and permuted ones), from those before and the sums of residuals over documents."""
    assert sample.label_of is not None
    begins = np.searchsorted(sample.document, np.arange(sample.n_documents))
    sums = np.add.reduceat(left, begins, axis=0, dtype=np.float64)
    sizes = np.diff(np.append(begins, len(sample)))[:, None]
    out = sample.fold_of == fold

    def errors_with(label_of: np.ndarray) -> np.ndarray:
        effects = group_effects((sums / sizes)[~out], label_of[~out], int(label_of.max()) + 1)[label_of[out]]
        changed: np.ndarray = before[out] - 2 * effects * sums[out] + sizes[out] * effects**2
        return changed

    rng = np.random.default_rng([seed, 7])
    found[0, out] = errors_with(sample.label_of)
    for _ in range(N_LABEL_PERMUTATIONS):
        found[1, out] += errors_with(rng.permutation(sample.label_of)) / N_LABEL_PERMUTATIONS


def group_effects(
    values: Float[np.ndarray, "n units"], group: Int64[np.ndarray, "n"], n_groups: int
) -> Float64[np.ndarray, "groups units"]:
    """The shrunk mean of each group, by the same rule as `nested.fit_fold`; 0 for a group without values."""
    n = np.bincount(group, minlength=n_groups).astype(np.float64)
    members = np.zeros((n_groups, len(group)))
    members[group, np.arange(len(group))] = 1
    sums, filled = members @ values, np.flatnonzero(n)
    between = (sums[filled] ** 2 / n[filled, None]).sum(0)
    squares, grand, square_sizes = np.einsum("nu,nu->u", values, values), sums.sum(0), float((n**2).sum())
    strength = shrinkages(squares, between, grand, len(group), len(filled), square_sizes)
    effects: np.ndarray = sums / (n[:, None] + strength)
    return effects
