"""What chance would do: how often values are had, tails of the binomial distribution, and the control of many tests."""

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from ffmem.analyses.patterns.kinds import CLASS_OF, GRAM_LENGTH, Features, Kind, gram_codes
from ffmem.analyses.patterns.tokens import Tokens

MIN_SHARED = 3
"""Triggers that have to share something for it to be a pattern (Geva et al. 2021, section 3)."""
_CODES_AT_A_TIME = 2**25
"""N-grams that are sorted together."""


def frequencies(
    features: Features, kind: Kind, values: UInt64[np.ndarray, "values"]
) -> tuple[Float64[np.ndarray, "values"], int]:
    """How frequent values are among random prefixes, and how many values of the kind a unit's triggers could share.

    Args:
        features: of an index.
        kind: of the values.
        values: ascending.

    Returns:
        the share of the indexed positions that can be a trigger whose prefix has the value (of clusters: an estimate), and
        the number of values that at least `MIN_SHARED` of these positions have (of n-grams "somewhere": at which so many
        occurrences end), since no other value can be shared by as many triggers.

    Cost: a pass over the tokens of the index; for n-grams a sort of them, too.
    """
    if CLASS_OF[kind] == "semantic":
        assert features.meaning is not None
        return features.meaning.frequency[values.astype(np.int64)], features.meaning.n_possible
    tokens, n = features.tokens, GRAM_LENGTH.get(kind)
    if n is None:
        counts = np.zeros(0, dtype=np.int64)
        for ends in tokens.blocks():
            found = np.bincount(features.number(kind, ends), minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        return counts[values.astype(np.int64)] / tokens.n_prefixes, int((counts >= MIN_SHARED).sum())
    counts = np.zeros(len(values), dtype=np.int64)
    for ends in tokens.blocks():
        counts += _with_gram(tokens, ends, n, values, anywhere=not kind.startswith("final"))
    return counts / tokens.n_prefixes, _n_frequent_grams(tokens, n)


def _with_gram(
    tokens: Tokens, ends: Int64[np.ndarray, "some"], n: int, values: UInt64[np.ndarray, "values"], *, anywhere: bool
) -> Int64[np.ndarray, "values"]:
    """How many prefixes of some whole sentences end with each n-gram, or have it somewhere."""
    if not len(values) or not len(ends):
        return np.zeros(len(values), dtype=np.int64)
    places = np.arange(tokens.start[tokens.sentence_of(ends[:1])[0]], ends[-1] + 1) if anywhere else ends
    places = places[tokens.position_of(places) >= n - 1]
    codes = gram_codes(tokens, places, n)
    numbers = np.minimum(np.searchsorted(values, codes), len(values) - 1)
    hits = np.flatnonzero(values[numbers] == codes)
    numbers, places = numbers[hits], places[hits]
    if not anywhere:
        return np.bincount(numbers, minlength=len(values))
    sentences = tokens.sentence_of(places)
    _, first = np.unique(sentences * len(values) + numbers, return_index=True)  # the first place in each sentence
    sentences, places = sentences[first], places[first]
    begins = np.maximum(places, tokens.start[sentences] + tokens.n_skipped[sentences])
    after = np.maximum(tokens.start[sentences + 1] - begins, 0)
    return np.bincount(numbers[first], after, minlength=len(values)).astype(np.int64)


def _n_frequent_grams(tokens: Tokens, n: int) -> int:
    """How many different n-grams end at `MIN_SHARED` positions or more."""
    n_parts = np.uint64(tokens.n_prefixes // _CODES_AT_A_TIME + 1)
    total = 0
    for part in np.arange(n_parts, dtype=np.uint64):
        found = []
        for ends in tokens.blocks():
            codes = gram_codes(tokens, ends[tokens.position_of(ends) >= n - 1], n)
            found.append(codes[codes % n_parts == part])
        codes = np.sort(np.concatenate(found))
        begins = np.concatenate(([True], codes[1:] != codes[:-1]))[: len(codes)]
        alike = codes[MIN_SHARED - 1 :] == codes[: len(codes) - MIN_SHARED + 1]
        total += int((alike & begins[: len(alike)]).sum())
    return total


def binomial_tail(
    k: Int64[np.ndarray, "n"], n: Int64[np.ndarray, "n"], p: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """The chance of k hits or more in n draws of which each hits with probability p. The sum of the terms: n is small."""
    total = np.zeros(len(k))
    most = int(n.max(initial=0))
    choose = np.zeros((most + 1, most + 1))  # Pascal's triangle
    choose[:, 0] = 1
    for row in range(1, most + 1):
        choose[row, 1:] = choose[row - 1, 1:] + choose[row - 1, :-1]
    for hits in range(int(k.min(initial=0)), most + 1):
        some = np.flatnonzero((hits >= k) & (hits <= n))
        total[some] += choose[n[some], hits] * p[some] ** hits * (1 - p[some]) ** (n[some] - hits)
    return np.minimum(total, 1.0)


def discovery_threshold(p: Float64[np.ndarray, "tests"], q: float) -> float:
    """The largest p that is a discovery with a false discovery rate of q (Benjamini & Hochberg 1995); -1 if none is."""
    ordered = np.sort(p)
    good = np.flatnonzero(ordered <= q * np.arange(1, len(p) + 1) / max(len(p), 1))
    return float(ordered[good[-1]]) if len(good) else -1.0
