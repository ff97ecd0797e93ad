"""What a coefficient is made of: its variance split into last token, n-grams, position, then topic or earlier words.

Each part is fitted on what those before it leave, on some documents, and told on the others.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64

from ffmem.analyses.meaning.nested import MOST_SHRINKAGE, fit_fold
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
    """Sums of squared errors on documents that were left out, (units, documents) each."""

    mean: Float64[np.ndarray, "units documents"]
    """About the mean of the other documents."""
    levels: Float64[np.ndarray, "units levels documents"]
    """After each of `LEVELS`."""
    words: Float64[np.ndarray, "units documents"]
    """After the position, with earlier words."""
    shuffled_words: Float64[np.ndarray, "units documents"]
    """With those of other sentences instead."""
    topic: Float64[np.ndarray, "units documents"] | None
    """After the position, with the document's label; None if there are none."""
    shuffled_topic: Float64[np.ndarray, "units documents"] | None
    """Mean over labels that are permuted among documents."""


def standardised(c: Float[np.ndarray, "n units"]) -> Float32[np.ndarray, "units n"]:
    """Coefficients at mean 0 and deviation 1, a row each; zeros for what never changes."""
    rows = np.ascontiguousarray(c.T, dtype=np.float32)
    rows -= rows.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.einsum("un,un->u", rows, rows, dtype=np.float64) / max(rows.shape[1], 1))
    rows /= np.where(deviation > 0, deviation, 1)[:, None].astype(np.float32)
    clipped: np.ndarray = np.clip(rows, -_LARGEST, _LARGEST)
    return clipped


def split_variance(
    c: Float32[np.ndarray, "units n"], sample: Sample, shuffled: Float32[np.ndarray, "n dimensions"], *, seed: int = 0
) -> Errors:
    """c = mean + token + 2-gram + 3-gram + position, then + topic, or + earlier words, out of sample by folds of documents.

    Args:
        c: coefficients at the sample's positions: see `standardised`.
        sample: the positions.
        shuffled: vectors of other sentences' earlier words: see `Sample.shuffled_earlier`.
        seed: of the permutations of labels.

    Cost: for each unit and fold some ten looks at every position, and two products with the vectors.
    """
    n_units, levels = len(c), sample.levels.astype(np.int32)
    document = sample.document
    mean_and_levels = np.zeros((n_units, len(LEVELS) + 1, sample.n_documents))
    words, shuffled_words = np.zeros((2, n_units, sample.n_documents))
    topic = None if sample.label_of is None else np.zeros((2, n_units, sample.n_documents))
    residuals = np.empty_like(c)
    vectors = (sample.earlier, shuffled)
    n_groups = levels.max(1, initial=-1) + 1
    for fold in np.unique(sample.fold_of):
        first, end = np.searchsorted(sample.fold_of[document], [fold, fold + 1]).tolist()
        _fit_levels(c, levels, n_groups, (first, end), document, mean_and_levels, residuals)
        for vector, errors in zip(vectors, (words, shuffled_words), strict=True):
            predicted = _ridge(residuals, vector, first, end)
            _add_squares(residuals[:, first:end] - predicted, document[first:end], errors)
        if topic is not None:
            _add_topic(residuals, sample, int(fold), mean_and_levels[:, -1], topic, seed)
    return Errors(
        mean=mean_and_levels[:, 0],
        levels=mean_and_levels[:, 1:],
        words=words,
        shuffled_words=shuffled_words,
        topic=None if topic is None else topic[0],
        shuffled_topic=None if topic is None else topic[1],
    )


def _fit_levels(
    c: np.ndarray,
    levels: np.ndarray,
    n_groups: np.ndarray,
    left_out: tuple[int, int],
    document: np.ndarray,
    errors: np.ndarray,
    residuals: np.ndarray,
) -> None:
    first, end = left_out
    counts = np.zeros((len(levels), n_groups.max(initial=1)))
    for level, group in enumerate(levels):
        for part in (group[:first], group[end:]):
            counts[level, : n_groups[level]] += np.bincount(part, minlength=n_groups[level])

    def fit(at: int) -> None:
        some = slice(at, at + _UNITS_AT_A_TIME)
        fit_fold(c[some], levels, counts, n_groups, first, end, document, errors[some], residuals[some])

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(fit, range(0, len(c), _UNITS_AT_A_TIME)))


def _ridge(
    residuals: Float32[np.ndarray, "units n"], vector: Float32[np.ndarray, "n dimensions"], first: int, end: int
) -> Float32[np.ndarray, "units some"]:
    """What the vectors say of the positions from ``first`` up to ``end``, fitted on all others."""
    fitted = vector.copy()
    fitted[first:end] = 0
    square = fitted.T.astype(np.float64) @ fitted + RIDGE * np.eye(vector.shape[1])
    weights = np.linalg.solve(square, (residuals @ fitted).T.astype(np.float64)).astype(np.float32)
    predicted: np.ndarray = (vector[first:end] @ weights).T
    return predicted


def _add_squares(values: np.ndarray, document: np.ndarray, errors: np.ndarray) -> None:
    """Add the squares of (units, positions) to the documents that the positions are of, which are ascending."""
    if values.shape[1]:
        begins = np.flatnonzero(np.diff(document, prepend=-1))
        errors[:, document[begins]] += np.add.reduceat(values.astype(np.float64) ** 2, begins, axis=1)


def _add_topic(
    residuals: np.ndarray, sample: Sample, fold: int, before: np.ndarray, found: np.ndarray, seed: int
) -> None:
    """Errors with topics (own, and permuted ones), from those before and the sums of residuals over documents."""
    assert sample.label_of is not None
    begins = np.searchsorted(sample.document, np.arange(sample.n_documents))
    sums = np.add.reduceat(residuals, begins, axis=1, dtype=np.float64)
    sizes = np.diff(np.append(begins, len(sample)))
    out = sample.fold_of == fold

    def errors_with(label_of: np.ndarray) -> np.ndarray:
        effects = group_effects((sums / sizes)[:, ~out], label_of[~out], int(label_of.max()) + 1)[:, label_of[out]]
        changed: np.ndarray = before[:, out] - 2 * effects * sums[:, out] + sizes[out] * effects**2
        return changed

    rng = np.random.default_rng([seed, 7])
    found[0][:, out] = errors_with(sample.label_of)
    for _ in range(N_LABEL_PERMUTATIONS):
        found[1][:, out] += errors_with(rng.permutation(sample.label_of)) / N_LABEL_PERMUTATIONS


def group_effects(
    values: Float[np.ndarray, "units n"], group: Int64[np.ndarray, "n"], n_groups: int
) -> Float64[np.ndarray, "units groups"]:
    """The shrunk mean of each group, by the same rule as `nested.fit_fold`; 0 for a group without values."""
    n = np.bincount(group, minlength=n_groups)
    sums = np.zeros((len(values), n_groups))
    order = np.argsort(group, kind="stable")
    filled = np.flatnonzero(n)
    begins = np.concatenate(([0], n[filled].cumsum()[:-1])).astype(np.int64)
    sums[:, filled] = np.add.reduceat(values[:, order], begins, axis=1)
    between = (sums[:, filled] ** 2 / n[filled]).sum(1)
    if len(filled) < 2 or len(group) <= len(filled):
        strength = np.full(len(values), MOST_SHRINKAGE)
    else:
        within = np.maximum((np.square(values).sum(1) - between) / (len(group) - len(filled)), 0)
        mean_between = (between - sums.sum(1) ** 2 / len(group)) / (len(filled) - 1)
        of_groups = (mean_between - within) / ((len(group) - (n**2).sum() / len(group)) / (len(filled) - 1))
        some = of_groups > within / MOST_SHRINKAGE
        strength = np.where(some, np.maximum(within / np.where(some, of_groups, 1), 1e-3), MOST_SHRINKAGE)
    effects: np.ndarray = sums / (n + strength[:, None])
    return effects

